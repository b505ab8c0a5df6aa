package events

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// checkQuick holds for every input: what is read quickly is what encoding/json reads.
func checkQuick(t *testing.T, eventType string, data []byte) (quickly bool) {
	t.Helper()
	got, want := newBody(eventType), newBody(eventType)
	if !got.(quickBody).quick(data) {
		return false
	}
	if err := unmarshal(data, want); err != nil {
		t.Fatalf("%q was read quickly: %v", data, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q was read as %+v, quickly as %+v", data, want, got)
	}
	return true
}

var quickTypes = []string{TypeRate, TypeMiss}

// TestWhatIsWrittenIsReadQuickly keeps the quick way from falling behind: a field that only encoding/json knows would be no error, just slow.
func TestWhatIsWrittenIsReadQuickly(t *testing.T) {
	bodies := []Body{
		&Rate{WindowMS: 1}, &Rate{WindowMS: 1, Capacity: Capacity{Connections: 1}}, &Rate{WindowMS: 1, Capacity: Capacity{MaxRPS: 0.125}, Early: true},
		&Miss{WindowMS: 1}, &Miss{WindowMS: 1, Sketch: []byte{0}, TopHot: []KeyCount{{"http://example.org/ä", MaxCount}}},
	}
	for _, s := range samples() {
		bodies = append(bodies, s.Body)
	}
	for _, b := range bodies {
		if _, ok := b.(quickBody); !ok {
			continue
		}
		data, err := marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if !checkQuick(t, b.eventType(), data) {
			t.Errorf("not quickly: %s", data)
		}
	}
}

// TestOtherFormsAreNotReadQuickly changes each byte of what is written, leaves each out and cuts behind each: the result is the same either way.
func TestOtherFormsAreNotReadQuickly(t *testing.T) {
	for _, s := range samples() {
		if _, ok := s.Body.(quickBody); !ok {
			continue
		}
		data, err := marshal(s.Body)
		if err != nil {
			t.Fatal(err)
		}
		for i := range data {
			checkQuick(t, s.Body.eventType(), data[:i])
			checkQuick(t, s.Body.eventType(), append(bytes.Clone(data[:i]), data[i+1:]...))
			for _, c := range []byte("\x00 \"\\,:.{}[]0919eE-+tnA=\xff") {
				changed := bytes.Clone(data)
				changed[i] = c
				checkQuick(t, s.Body.eventType(), changed)
				checkQuick(t, s.Body.eventType(), append(append(bytes.Clone(data[:i]), c), data[i:]...))
			}
		}
	}
}

func FuzzQuick(f *testing.F) {
	for _, s := range samples() {
		if data, err := marshal(s.Body); err == nil {
			f.Add(data)
		}
	}
	f.Add([]byte(`{"window_ms":999999999999999999,"offered":9007199254740993,"status":{"hit":0,"miss":0,"stale":0,"revalidated":0,"collapsed":0,"error":0,"shed":0,` +
		`"bypass":0},"bytes_out":0,"bytes_in":0,"in_flight":0,"in_flight_peak":0,"capacity":{"cpu":9007199254740993},"warm":` + strings.Repeat("9", 17) + `.5}`))
	f.Add([]byte(`{"window_ms":1,"misses":1,"distinct":1,"sketch":"QQ==","top_hot":[{"key":"` + "\u2028\x7f" + `","count":1}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, eventType := range quickTypes {
			checkQuick(t, eventType, data)
		}
	})
}
