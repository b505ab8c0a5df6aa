package store

import (
	"encoding/binary"
	"time"
)

// A record is an object as bytes: its key first, by which it is found, then
// the rest of its header, then the content if that is small. It is read by the
// process that wrote it only, so nothing in it is checked.

// Flags of a record.
const (
	recordNoCache = 1 << iota
	recordMustRevalidate
	recordNoStale
	recordPublic
	recordSignpost
	recordImmutable
)

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendKey begins a record.
func appendKey(b []byte, key string) []byte { return appendText(b, key) }

// appendHeader completes the header that appendKey has begun. Times are kept as
// distances from base, so that they stay on the clock that does not step.
func appendHeader(b []byte, o *Object, base time.Time) []byte {
	m := &o.Meta
	flags := uint64(0)
	for i, set := range [...]bool{m.NoCache, m.MustRevalidate, m.NoStale, m.Public, o.Vary != nil, m.Immutable} {
		if set {
			flags |= 1 << i
		}
	}
	b = binary.AppendUvarint(b, flags)
	b = binary.AppendUvarint(b, uint64(m.Status))
	received := int64(0) // of a signpost, which has no time
	if !m.ResponseTime.IsZero() {
		received = int64(m.ResponseTime.Sub(base))<<1 | 1
	}
	for _, n := range [...]int64{received, int64(m.InitialAge), int64(m.Lifetime), int64(m.StaleWhileRevalidate), int64(m.StaleIfError), o.Total, o.Offset} {
		b = binary.AppendVarint(b, n)
	}
	b = binary.AppendUvarint(b, o.Born)
	b = binary.LittleEndian.AppendUint64(b, o.Generation)
	b = appendText(b, m.ETag)
	b = appendText(b, m.LastModified)
	b = appendText(b, o.CacheStatus)
	b = binary.AppendUvarint(b, uint64(len(o.Vary)))
	for _, name := range o.Vary {
		b = appendText(b, name)
	}
	b = binary.AppendUvarint(b, uint64(len(o.Labels)))
	for _, l := range o.Labels {
		b = binary.LittleEndian.AppendUint64(b, l)
	}
	values := 0
	for i := range o.Fields {
		values += len(o.Fields[i].Values)
	}
	b = binary.AppendUvarint(b, uint64(len(o.Fields)))
	b = binary.AppendUvarint(b, uint64(values))
	for i := range o.Fields {
		b = appendField(b, &o.Fields[i])
	}
	return b
}

// appendField writes a name that is in common by its number, counted from 1.
func appendField(b []byte, f *Field) []byte {
	number := uint64(0)
	for i, name := range common {
		if name == f.Name {
			number = uint64(i) + 1
			break
		}
	}
	surrogate := uint64(0)
	if f.Surrogate {
		surrogate = 1
	}
	b = binary.AppendUvarint(b, number<<1|surrogate)
	if number == 0 {
		b = appendText(b, f.Name)
	}
	b = binary.AppendUvarint(b, uint64(len(f.Values)))
	for _, v := range f.Values {
		b = appendText(b, v)
	}
	return b
}

// parser takes a record's header apart. What it returns are parts of the text.
type parser struct{ text string }

func (p *parser) uint() (n uint64) {
	for i := range len(p.text) {
		c := p.text[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			p.text = p.text[i+1:]
			return n
		}
	}
	return n
}

func (p *parser) int() int64 {
	n := p.uint()
	return int64(n>>1) ^ -int64(n&1)
}

func (p *parser) fixed() (n uint64) {
	for i := range 8 {
		n |= uint64(p.text[i]) << (8 * i)
	}
	p.text = p.text[8:]
	return n
}

func (p *parser) string() string {
	n := p.uint()
	s := p.text[:n]
	p.text = p.text[n:]
	return s
}

// object is the inverse of appendKey and appendHeader.
func (p *parser) object(base time.Time) *Object {
	o := &Object{Key: p.string()}
	m := &o.Meta
	flags := p.uint()
	m.Status = int(p.uint())
	if received := p.int(); received != 0 {
		m.ResponseTime = base.Add(time.Duration(received >> 1))
	}
	m.InitialAge, m.Lifetime = time.Duration(p.int()), time.Duration(p.int())
	m.StaleWhileRevalidate, m.StaleIfError = time.Duration(p.int()), time.Duration(p.int())
	m.NoCache, m.MustRevalidate = flags&recordNoCache != 0, flags&recordMustRevalidate != 0
	m.NoStale, m.Public = flags&recordNoStale != 0, flags&recordPublic != 0
	m.Immutable = flags&recordImmutable != 0
	o.Total, o.Offset = p.int(), p.int()
	o.Born, o.Generation = p.uint(), p.fixed()
	m.ETag, m.LastModified, o.CacheStatus = p.string(), p.string(), p.string()
	if n := p.uint(); n > 0 || flags&recordSignpost != 0 {
		o.Vary = make([]string, n)
		for i := range o.Vary {
			o.Vary[i] = p.string()
		}
	}
	if n := p.uint(); n > 0 {
		o.Labels = make([]uint64, n)
		for i := range o.Labels {
			o.Labels[i] = p.fixed()
		}
	}
	p.fields(o)
	return o
}

func (p *parser) fields(o *Object) {
	n := p.uint()
	values := make([]string, p.uint())
	if n == 0 {
		return
	}
	o.Fields = make([]Field, n)
	for i := range o.Fields {
		f := &o.Fields[i]
		number := p.uint()
		f.Surrogate = number&1 != 0
		if number >>= 1; number > 0 {
			f.Name = common[number-1]
		} else {
			f.Name = p.string()
		}
		count := p.uint()
		f.Values, values = values[:count:count], values[count:]
		for j := range f.Values {
			f.Values[j] = p.string()
		}
	}
}

// common are names that a record need not spell out. The frequent ones come first.
var common = [...]string{
	"Content-Type", "Content-Length", "Date", "Cache-Control", "Etag", "Last-Modified", "Vary", "Server", "Expires", "Via",
	"Accept-Ranges", "Content-Encoding", "Access-Control-Allow-Origin", "Surrogate-Key", "Surrogate-Control", "Cache-Tag",
	"X-Content-Type-Options", "Strict-Transport-Security", "Access-Control-Expose-Headers", "Access-Control-Allow-Methods",
	"Access-Control-Allow-Headers", "Timing-Allow-Origin", "Cdn-Cache-Control", "Content-Language", "Content-Disposition",
	"Content-Security-Policy", "Referrer-Policy", "X-Frame-Options", "X-Xss-Protection", "Link", "Alt-Svc", "Xkey",
	"Cross-Origin-Resource-Policy", "Surgewall-Cache-Control", "Cdn-Loop", "Server-Timing", "Permissions-Policy", "X-Cache",
}
