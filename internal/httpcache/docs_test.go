package httpcache

import (
	"os"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

// Every detail in Cache-Status is explained to who reads it.
func TestEveryDetailIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/caching.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, detail := range []rfc9111.Reason{
		rfc9111.ReasonNoStore, rfc9111.ReasonPrivate, rfc9111.ReasonSetCookie, rfc9111.ReasonAuthorization, rfc9111.ReasonCookie, rfc9111.ReasonVary,
		rfc9111.ReasonNoCache, rfc9111.ReasonNoLifetime, rfc9111.ReasonStale, rfc9111.ReasonStatus,
		reasonRange, reasonTooLarge, reasonHead, reasonPrecondition, reasonPurge, reasonSWR, reasonSIE, reasonUnreachable, reasonMaxStale, reasonBackoff,
		reasonUpstream, reasonTimeout, rfc9111.Reason(refusedClosed.detail), rfc9111.Reason(refusedReleased.detail), rfc9111.Reason(refusedWaiters.detail),
	} {
		if !strings.Contains(string(text), "`"+string(detail)+"`") {
			t.Errorf("docs/caching.md lacks %s", detail)
		}
	}
}
