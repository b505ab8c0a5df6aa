// Package rfc9111 decides what a shared HTTP cache may store, share, reuse and
// must validate (RFC 9111, with the parts of RFC 9110, 5861, 8246 and 9213 that
// a cache needs), from values alone: it reads no clock and does no I/O.
package rfc9111
