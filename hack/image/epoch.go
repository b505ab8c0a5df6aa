package main

import (
	"fmt"
	"strconv"
	"time"
)

// epoch is the time of every file and of the image, in seconds since 1970: the clock must not decide a digest.
type epoch int64

// epochFrom reads SOURCE_DATE_EPOCH (reproducible-builds.org/specs/source-date-epoch); empty means 1970.
func epochFrom(text string) (epoch, error) {
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return 0, fmt.Errorf("SOURCE_DATE_EPOCH is %q: want seconds since 1970, 0 or more", text)
	}
	return epoch(seconds), nil
}

func (e epoch) time() time.Time { return time.Unix(int64(e), 0).UTC() }
