package httpcache

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/rs/zerolog"
)

// PurgeHandler answers a POST of one PurgeRequest as JSON with the Purged, or
// with 400 and {"error": …} that names the field. It checks nobody's right to
// purge: mount it behind something that does. Each call is one line in the log.
func PurgeHandler(purge func(PurgeRequest) (Purged, error), logger zerolog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var p PurgeRequest
		code, err := readPurge(w, r, &p)
		var done Purged
		if err == nil {
			code = http.StatusBadRequest
			done, err = purge(p)
		}
		line := logger.Info().Str("scope", string(p.Scope)).Str("value", p.Value).Str("host", p.Host).
			Str("mode", string(p.Mode)).Str("remote", r.RemoteAddr)
		if err != nil {
			line.Str("outcome", "refused").Err(err).Msg("purge")
			writeJSON(w, code, map[string]string{"error": err.Error()})
			return
		}
		line.Str("outcome", "purged").Uint64("number", done.Number).Msg("purge")
		writeJSON(w, http.StatusOK, done)
	})
}

// readPurge returns the status code of what is wrong with the request.
func readPurge(w http.ResponseWriter, r *http.Request, p *PurgeRequest) (int, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return http.StatusMethodNotAllowed, errors.New("want POST")
	}
	// A page in an operator's browser cannot send this type across origins.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return http.StatusUnsupportedMediaType, errors.New("Content-Type: want application/json")
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(p); err != nil {
		return http.StatusBadRequest, err
	}
	if _, err := d.Token(); err != io.EOF {
		return http.StatusBadRequest, errors.New("want one JSON object and nothing after it")
	}
	return 0, nil
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client left: nothing to add
}
