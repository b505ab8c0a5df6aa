package httpcache

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// lagWindows is how many windows a reader may lag behind the fastest of a body
// that is not stored before it goes its own way.
const lagWindows = 5

// fill reads the upstream's body into the chunks, to its end or its break.
func (f *flight) fill(resp *http.Response) {
	body := resp.Body
	stalled := time.AfterFunc(f.c.opt.IdleTimeout, func() { f.cancel(errStalled) })
	defer stalled.Stop()
	defer func() { body.Close() }()
	b := f.body
	for {
		if b.length >= 0 && b.size.Load() == b.length {
			f.trailer = resp.Trailer
			f.land()
			return
		}
		stalled.Reset(f.c.opt.IdleTimeout)
		n, err := body.Read(b.space())
		stalled.Stop() // what follows waits for readers, which says nothing of the upstream
		if n > 0 {
			b.publish(n, f.crowd.Load() > crowdSize)
		}
		switch {
		case err == io.EOF && (b.length < 0 || b.size.Load() == b.length):
			f.trailer = resp.Trailer // net/http has read it by now
			f.land()
			return
		case err != nil:
			next, resumeErr := f.resume() //nolint:bodyclose // it becomes the body that this loop reads and closes
			if resumeErr != nil {
				f.crash(fmt.Errorf("reading the body at %d: %w (%w)", b.size.Load(), err, resumeErr))
				return
			}
			body.Close()
			resp, body = next, next.Body
		case !f.pace():
			f.crash(errNobody)
			return
		}
	}
}

// resume asks once more for the rest of a body that broke off.
func (f *flight) resume() (*http.Response, error) {
	size := f.body.size.Load()
	if f.resumed || context.Cause(f.ctx) != nil || size == 0 || !f.movable {
		return nil, errBroken
	}
	f.resumed = true
	resp, err := f.fetch(f.rest(size))
	if err != nil {
		return nil, fmt.Errorf("resuming: %w", err)
	}
	if err := f.continues(resp, size); err != nil {
		return nil, err
	}
	return resp, nil
}

// rest is the request for a body from an offset on.
func (f *flight) rest(offset int64) *http.Request {
	r := f.request(false)
	r.Header = maps.Clone(r.Header)
	if s := f.slice; s != nil {
		r.Header["Range"] = []string{fmt.Sprintf("bytes=%d-%d", s.first+offset, s.last)}
	} else {
		r.Header["Range"] = []string{fmt.Sprintf("bytes=%d-", offset)}
	}
	r.Header["If-Range"] = []string{f.head.verdict.Stored.ETag}
	return r
}

// continues checks that an answer to rest is just the rest, and of the same
// representation; else it closes the answer's body.
func (f *flight) continues(resp *http.Response, offset int64) error {
	first, _, total, ok := rfc9111.ContentRange(resp.Header)
	whole := f.body.length
	if s := f.slice; s != nil {
		first, whole = first-s.first, s.total
	}
	if resp.StatusCode != http.StatusPartialContent || !ok || first != offset || resp.Header.Get("Etag") != f.head.verdict.Stored.ETag ||
		whole >= 0 && total >= 0 && total != whole {
		resp.Body.Close()
		return fmt.Errorf("resuming at %d: upstream answered %d %q", offset, resp.StatusCode, resp.Header.Get("Content-Range"))
	}
	return nil
}

// splittable reports whether a part of a body that is fetched later can be
// joined to an earlier one: only a strong entity tag proves that they belong
// together.
func splittable(rsp *response) bool {
	return rsp.meta.Status == http.StatusOK && rfc9111.StrongTag(rsp.meta.ETag) &&
		!strings.EqualFold(field(rsp.fields, "Accept-Ranges"), "none")
}

// land ends a complete body: into the store first, so that whoever has read it
// to the end finds it there, then to the readers.
func (f *flight) land() {
	chunks := f.body.content()
	var body store.Body
	fits := false
	if f.store { // copied before the lock is taken
		body, fits = f.c.opt.Store.Body(chunks...)
		defer body.Release()
	}
	f.sh.mu.Lock()
	switch {
	case !f.store || f.discarded():
	case !fits:
		f.c.opt.Store.Delete(f.key)
	case f.slice == nil:
		f.signpost(f.head.verdict.Vary) // may have changed since the header
		o := &store.Object{Key: f.key, Meta: f.head.verdict.Stored, CacheStatus: f.head.response.cacheStatus,
			Born: f.born, Labels: f.labels, Body: body, Fields: withLength(f.head.response.fields, f.body.size.Load())}
		f.c.opt.Store.Put(o)
		if man := f.c.manifest(f.key); man != nil && man.Meta.ETag != o.Meta.ETag {
			f.c.opt.Store.Delete(man.Key) // slices of what was there before
		}
	case !f.slice.lay.dead:
		f.c.opt.Store.Put(f.sliceObject(body))
	}
	f.rememberBody(chunks)
	f.sh.detach(f)
	f.sh.mu.Unlock()
	f.body.finish(complete)
	f.release(f.body.list.Load().chunks)
}

// crash ends a body that broke off: nothing is stored, and readers abort their
// responses so that no client takes the part for the whole.
func (f *flight) crash(err error) {
	f.sh.mu.Lock()
	f.sh.detach(f)
	f.sh.mu.Unlock()
	f.c.opt.Logger.Debug().Err(err).Str("key", f.primary).Msg("response broke off")
	f.body.finish(broken)
	f.release(f.body.list.Load().chunks)
}

// release recycles chunks as soon as nobody reads them.
func (f *flight) release(left [][]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	if len(f.readers) == 0 {
		f.c.chunks.recycle(left)
		return
	}
	f.left = left
}

// pace bounds what a body costs in memory: one that turns out too large to be
// kept goes through a window from there on. It waits for its fastest reader,
// and those who fall far behind fetch the rest on their own; where they cannot,
// since no entity tag vouches for it, it waits for its slowest, unless that one
// does not move at all while others do. It reports false when nobody is left to
// fetch for.
func (f *flight) pace() bool {
	size := f.body.size.Load()
	if size > f.c.opt.MaxObjectBytes && !f.transit.Load() {
		f.sh.mu.Lock()
		f.sh.detach(f)
		f.store = false
		f.transit.Store(true)
		f.sh.mu.Unlock()
	}
	if !f.transit.Load() {
		if size > f.c.opt.KeepFillBytes {
			f.idle()
		}
		return context.Cause(f.ctx) == nil
	}
	var patience *time.Timer
	var tired <-chan time.Time
	waitedFor := int64(-1)
	for {
		slowest, fastest := f.span(size)
		keep, lead := slowest, slowest
		if f.movable {
			keep, lead = max(slowest, fastest-lagWindows*f.c.opt.WindowBytes), fastest
		}
		f.body.drop(keep)
		if size-lead < f.c.opt.WindowBytes {
			return context.Cause(f.ctx) == nil
		}
		switch {
		case patience == nil:
			patience = time.NewTimer(f.c.opt.IdleTimeout)
			defer patience.Stop()
			tired, waitedFor = patience.C, lead
		case lead != waitedFor:
			patience.Reset(f.c.opt.IdleTimeout)
			waitedFor = lead
		}
		select {
		case <-f.progress:
		case <-tired:
			if !f.movable {
				f.giveUpOn(waitedFor)
			}
			patience.Reset(f.c.opt.IdleTimeout)
		case <-f.ctx.Done():
			return false
		}
	}
}

// span returns the least and the greatest position of a reader that is waited
// for; without readers, size.
func (f *flight) span(size int64) (slowest, fastest int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	slowest = size
	waited := 0
	for rd := range f.readers {
		if !rd.stuck {
			waited++
		}
	}
	if len(f.readers) == 0 {
		return size, size
	}
	for rd := range f.readers {
		if rd.stuck && waited > 0 {
			continue
		}
		pos := rd.pos.Load()
		slowest, fastest = min(slowest, pos), max(fastest, pos)
	}
	return slowest, fastest
}

// giveUpOn lets the others go on without those readers that have not come
// beyond pos, if there are others. They keep their place, since they may be
// writing from a chunk; what they find missing when they come back cuts them off.
func (f *flight) giveUpOn(pos int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ahead := false
	for rd := range f.readers {
		ahead = ahead || rd.pos.Load() > pos
	}
	for rd := range f.readers {
		rd.stuck = rd.stuck || ahead && rd.pos.Load() <= pos
	}
}

// signalProgress lets a windowed fetch look at its readers again.
func (f *flight) signalProgress() {
	if f.transit.Load() {
		select {
		case f.progress <- struct{}{}:
		default:
		}
	}
}
