//go:build race

package httpcache

const raceDetector = true
