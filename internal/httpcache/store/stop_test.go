package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

func small(key string, size int) *Object {
	return &Object{Key: key, Meta: rfc9111.Stored{Status: 200}, Body: NewBody(bytes.Repeat([]byte("x"), size))}
}

// A record with cells of another's ends the process, although whoever met it
// recovers from panics as net/http does: it is run in a process of its own.
func TestDamagedRecordStopsTheProcess(t *testing.T) {
	const child = "SURGEWALL_TEST_DAMAGED"
	if os.Getenv(child) != "" {
		m := NewMemory(1 << 20)
		if !m.Put(small("a", 100)) {
			t.Fatal("not stored")
		}
		binary.LittleEndian.PutUint32(m.cells.at(1)[4:], 77)
		defer func() { t.Logf("survived: %v", recover()) }()
		m.Get("a")
		return
	}
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDamagedRecordStopsTheProcess$", "-test.v")
	c.Env = append(os.Environ(), child+"=1")
	out, err := c.CombinedOutput()
	if err == nil || c.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "a record has cells of another") || strings.Contains(string(out), "survived") {
		t.Errorf("%v: %s", err, out)
	}
}

// Without memory from the system nothing more is stored, what is stored stays
// as it is, and what was to be replaced is not served on.
func TestPutIsRefusedWithoutMemory(t *testing.T) {
	for name, exhaust := range map[string]func(*Memory){
		"for records": func(m *Memory) { m.cells.more = func() ([]byte, bool) { return nil, false } },
		"for entries": func(m *Memory) { m.entries.more = func() ([]byte, bool) { return nil, false } },
	} {
		m := NewMemory(64 << 20)
		exhaust(m)
		if m.Put(small("first", 100)) {
			t.Errorf("%s: stored in nothing", name)
		}
		if st := m.Stats(); st.Objects != 0 || st.Bytes != 0 {
			t.Errorf("%s: %+v", name, st)
		}
		m.cells.more, m.entries.more = takeBlock, takeBlock
		if !m.Put(small("other", 100)) {
			t.Fatalf("%s: refused although there is memory", name)
		}
		exhaust(m)
		stored, refused := 0, false
		for i := range 40_000 {
			if refused = !m.Put(small(fmt.Sprint(i), 1000)); refused {
				break
			}
			stored++
		}
		if o, ok := m.Get("other"); !refused || !ok || o.Body.Size() != 100 {
			t.Errorf("%s: after %d: refused %v, other %v", name, stored, refused, ok)
		}
		before := m.Stats().Objects
		if m.Put(small("other", maxInline)); name == "for records" {
			if _, ok := m.Get("other"); ok || m.Stats().Objects >= before {
				t.Errorf("%s: served on although a newer one could not be stored", name)
			}
		}
	}
}
