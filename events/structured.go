package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// structured is a whole CloudEvent in one JSON object.
type structured struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	BootID          string          `json:"bootid"`
	Sequence        string          `json:"sequence"`
	TraceParent     string          `json:"traceparent"`
	Data            json.RawMessage `json:"data"`
	DataBase64      []byte          `json:"data_base64"`
}

// openStructured takes the envelope off a structured-mode body.
func openStructured(body []byte) (Attributes, []byte, error) {
	var s structured
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return Attributes{}, nil, errors.New("structured event is not a JSON object")
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return Attributes{}, nil, fmt.Errorf("structured event: %s", clip(err.Error()))
	}
	if s.DataContentType != "" && s.DataContentType != ContentTypeJSON {
		return Attributes{}, nil, fmt.Errorf("datacontenttype %q: %s is allowed", clip(s.DataContentType), ContentTypeJSON)
	}
	a, err := attributes(func(name string) string {
		switch name {
		case "specversion":
			return s.SpecVersion
		case "id":
			return s.ID
		case "source":
			return s.Source
		case "type":
			return s.Type
		case "time":
			return s.Time
		case "bootid":
			return s.BootID
		case "sequence":
			return s.Sequence
		case "traceparent":
			return s.TraceParent
		}
		return ""
	})
	if s.DataBase64 != nil {
		return a, s.DataBase64, err
	}
	return a, s.Data, err
}
