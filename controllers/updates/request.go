package updates

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/surgewall/surgewall/events"
)

func limitOf(r *http.Request, standard, most int) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("limit %q: 1 to %d are allowed", text[:min(len(text), 20)], most)
	}
	return n, nil
}

// idOf returns the id of a request: of its body, of Idempotency-Key, or a new one.
func idOf(r *http.Request, inBody string) (string, error) {
	id, key := inBody, strings.Trim(r.Header.Get("Idempotency-Key"), `"`)
	switch {
	case id != "" && key != "" && id != key:
		return "", errors.New("id and Idempotency-Key are two different ids")
	case id == "":
		id = key
	}
	if id == "" {
		return rand.Text(), nil
	}
	if len(id) > maxRequestID {
		return "", fmt.Errorf("id has %d characters, at most %d are allowed", len(id), maxRequestID)
	}
	return id, events.CheckContentID(id)
}

// read returns the status code of what is wrong with the request.
func read(r *http.Request, into any) (int, error) {
	// A page in an operator's browser cannot send this type across origins.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return http.StatusUnsupportedMediaType, errors.New("Content-Type: want application/json")
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return http.StatusRequestEntityTooLarge, fmt.Errorf("body: at most %d bytes are allowed", maxRequest)
		}
		return http.StatusBadRequest, fmt.Errorf("body: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return http.StatusBadRequest, errors.New("body: want one JSON object and nothing after it")
	}
	return 0, nil
}
