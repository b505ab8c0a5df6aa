package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/surgewall/surgewall/config/rabbitmq"
)

// management is the HTTP API of RabbitMQ's management plugin.
type management struct {
	url            *url.URL
	user, password string
	client         *http.Client
}

// newManagement reads the password and the authorities; it asks nothing yet. No error holds the password.
func newManagement(address, user, passwordFile, caFile string) (*management, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
		return nil, errors.New("--management: want http[s]://host:port, without user and password")
	}
	m := &management{url: u, user: user, client: &http.Client{Timeout: 30 * time.Second}}
	if passwordFile == "" {
		return nil, errors.New("--password-file: want a file with the password of an administrator of the broker")
	}
	content, err := os.ReadFile(passwordFile)
	if err != nil {
		return nil, failure{fmt.Errorf("--password-file: %w", err)}
	}
	m.password = strings.TrimSpace(string(content))
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, failure{fmt.Errorf("--ca-file: %w", err)}
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, failure{fmt.Errorf("--ca-file: %s holds no certificate", caFile)}
		}
		m.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, Proxy: http.ProxyFromEnvironment}
	}
	return m, nil
}

// definitions asks for all that the broker has.
func (m *management) definitions(ctx context.Context) (d rabbitmq.Definitions, err error) {
	body, err := m.do(ctx, http.MethodGet, nil)
	if err != nil {
		return d, fmt.Errorf("read the broker's definitions: %w", err)
	}
	if err := json.Unmarshal(body, &d); err != nil {
		return d, fmt.Errorf("read the broker's definitions: %w", err)
	}
	return d, nil
}

// apply adds and changes; what is not named stays as it is.
func (m *management) apply(ctx context.Context, d rabbitmq.Definitions) error {
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if _, err := m.do(ctx, http.MethodPost, body); err != nil {
		return fmt.Errorf("apply the definitions: %w", err)
	}
	return nil
}

func (m *management) do(ctx context.Context, method string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, m.url.JoinPath("api", "definitions").String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.SetBasicAuth(m.user, m.password)
	request.Header.Set("Content-Type", "application/json")
	response, err := m.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden:
		return nil, fmt.Errorf("%s for user %q: it needs the tag administrator, which no user of Surgewall has", response.Status, m.user)
	case response.StatusCode >= 300:
		return nil, fmt.Errorf("%s: %.300s", response.Status, answer)
	}
	return answer, nil
}
