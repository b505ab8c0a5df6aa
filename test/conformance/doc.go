// Package conformance drives a real shield on a loopback listener through the cases in which HTTP caches go wrong under load, between a
// scripted origin that counts and clients that come, go, read slowly and compare what they got.
package conformance
