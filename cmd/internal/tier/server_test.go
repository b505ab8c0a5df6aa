package tier_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/cmd/internal/tier"
	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/internal/httpcache/store"
	"github.com/surgewall/surgewall/internal/telemetry"
)

type nobody struct{}

func (nobody) Shutdown(...fx.ShutdownOption) error { return nil }

func TestTheServerRefusesAmbiguousRequests(t *testing.T) {
	settings := config.NewShield().Serving
	settings.Listen, settings.DrainDelay = "127.0.0.1:0", 0
	registry := telemetry.NewRegistry("shield", "test")
	server := tier.Server(settings, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.RequestURI)
	}), tier.NewMetrics(registry, store.NewMemory(1<<20)), zerolog.Nop())
	lifecycle := fxtest.NewLifecycle(t)
	server.Register(lifecycle, nobody{}, boot.NewHealth(), zerolog.Nop())
	lifecycle.RequireStart()
	defer lifecycle.RequireStop()

	client, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_ = client.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(client, "GET /good HTTP/1.1\r\nHost: a\r\n\r\n"+
		"POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
	all, _ := io.ReadAll(client)
	if text := string(all); strings.Count(text, "HTTP/1.1 ") != 2 || !strings.Contains(text, "/good") || !strings.HasSuffix(text, "400 Bad Request: length-and-encoding\n") {
		t.Errorf("answers:\n%s", all)
	}
}
