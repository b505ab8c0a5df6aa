package framing

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// FuzzParser holds three properties: no stream makes the parser panic; the verdict does not depend on where the stream is cut; and net/http
// finds in what was handed on the same requests, ending at the same bytes.
func FuzzParser(f *testing.F) {
	for _, c := range refusals {
		f.Add([]byte(c.stream), uint64(1))
		f.Add([]byte(post+upload+chunks+c.stream), uint64(2))
	}
	for _, good := range []string{
		get + post + upload + chunks + get,
		post + "\r\n" + get,
		upload + "5;a;b=c ; d=\"e;f\xe4\t\"\r\nhello\r\n0;last\r\nDigest: x\r\n\r\n" + get,
		"GET / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab" + get,
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nExpect: 100-continue\r\n\r\n" + get,
		preface + "\x00\x00\x00",
	} {
		f.Add([]byte(good), uint64(3))
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		whole := read(string(stream), 1<<10, true, func() int { return len(stream) })
		each := byteByByte(string(stream))
		cuts := rand.New(rand.NewPCG(seed, 1))
		random := read(string(stream), 1<<10, true, func() int { return cuts.IntN(40) })
		for _, v := range []verdict{each, random} {
			if v.reason != whole.reason || v.messages != whole.messages || v.inHead != whole.inHead || v.accepted < whole.accepted || v.accepted > each.accepted {
				t.Fatalf("cut: %+v; whole: %+v", v, whole)
			}
		}
		if bytes.HasPrefix(stream, []byte(preface[:18])) {
			return // what Hold is for; TestHalfAPreface
		}
		// What a peer sends that cuts its request anywhere is the most that is ever handed on.
		agree(t, stream[:each.accepted], each, whole.accepted)
	})
}

// agree has net/http read what was handed on.
func agree(t *testing.T, handed []byte, v verdict, untilHead int) {
	t.Helper()
	source := bytes.NewReader(handed)
	r := bufio.NewReader(source)
	method := ""
	var ends []int
	for {
		if method == http.MethodPost { // as net/http's server does
			next, _ := r.Peek(4)
			blank := len(next) - len(bytes.TrimLeft(next, "\r\n"))
			_, _ = r.Discard(blank)
		}
		req, err := http.ReadRequest(r)
		if err != nil {
			if len(ends) < len(v.ends) && !stricter(err) {
				t.Fatalf("net/http refuses request %d of %q: %v", len(ends), handed, err)
			}
			break
		}
		began := len(ends)
		if began == len(v.ends) && v.inHead {
			t.Fatalf("net/http found a complete head in %q, after %d requests", handed[min(untilHead, len(handed)):], began)
		}
		method = req.Method
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			if began < len(v.ends) && !stricter(err) {
				t.Fatalf("net/http cannot read the body of request %d of %q: %v", began, handed, err)
			}
			break
		}
		ends = append(ends, len(handed)-source.Len()-r.Buffered())
	}
	if len(ends) > len(v.ends) || !slices.Equal(ends, v.ends[:len(ends)]) {
		t.Fatalf("in %q requests end at %v, for net/http at %v", handed, v.ends, ends)
	}
}

// stricter reports whether net/http may refuse what is framed well: an odd URL, chunks of mostly overhead, odd names in Trailer.
func stricter(err error) bool {
	if _, ok := errors.AsType[*url.Error](err); ok {
		return true
	}
	for _, known := range []string{"bad trailer key", "too much non-data", "invalid method"} {
		if strings.Contains(err.Error(), known) {
			return true
		}
	}
	return false
}
