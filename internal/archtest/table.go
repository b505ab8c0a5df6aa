package archtest

// module is the import path that every package of ours starts with.
const module = "github.com/surgewall/surgewall/"

// A row says what one package, or one tree of packages ("dir/..."), may import besides the standard library.
type row struct {
	pkg    string   // path below the module; "dir/..." covers dir and everything under it
	ours   []string // packages of ours that it may import, same notation
	others []string // foreign import path prefixes that it may import
	pure   bool     // level 0: no clock, no goroutine, no log
	why    string
}

// level0 are the pure packages: values in, values out.
var level0 = []string{
	"internal/httpcache/rfc9111", "internal/rendezvous", "controllers/policy", "controllers/forecast", "controllers/plan", "controllers/autoscale", "controllers/simulate", "events",
	"internal/edgeauth", "internal/span", "internal/latency",
}

// engine are the packages of level 1.
var engine = []string{"internal/httpcache", "internal/httpcache/store", "events/membus"}

var logger = "github.com/rs/zerolog"

// table is docs/architecture.md, executable. Tests, ...test packages, hack and test are outside it.
var table = []row{
	{pkg: "internal/httpcache/rfc9111", ours: level0, others: []string{"github.com/dunglas/httpsfv"}, pure: true,
		why: "caching rules are checked against the RFC by table; a clock would make that a matter of luck"},
	{pkg: "internal/rendezvous", ours: level0, pure: true, why: "a hash is a function"},
	{pkg: "controllers/policy", ours: level0, others: []string{"github.com/robfig/cron/v3"}, pure: true, why: "the same text always gives the same policy or the same errors"},
	{pkg: "controllers/plan", ours: level0, pure: true, why: "a plan that is kept means the same to every replica"},
	{pkg: "controllers/autoscale", ours: level0, pure: true, why: "a decision can be replayed only if nothing but its arguments went in"},
	{pkg: "controllers/forecast", ours: level0, pure: true, why: "a score is one only if the same past always gives the same forecast"},
	{pkg: "controllers/simulate", ours: level0, pure: true, why: "a simulated day is worth something only if it is the same day each time"},
	{pkg: "internal/edgeauth", ours: level0, pure: true, why: "whether a proof holds is a function of bytes, key and time"},
	{pkg: "internal/latency", ours: level0, others: []string{"github.com/DataDog/sketches-go"}, pure: true, why: "a distribution is what was counted, whenever that was"},
	{pkg: "internal/span", ours: level0, pure: true, why: "whoever knows what happened need not link who collects it"},
	{pkg: "events", ours: level0, pure: true, why: "the wire contract is one thing a stranger can implement from"},

	{pkg: "internal/httpcache", ours: append(engine[1:2:2], level0...), others: []string{logger, "golang.org/x/sync", "github.com/maypok86/otter/v2", "github.com/dunglas/httpsfv", "golang.org/x/net/http/httpguts"},
		why: "the engine serves both tiers, so it knows neither"},
	{pkg: "internal/httpcache/store", ours: level0, others: []string{"golang.org/x/sys/unix"}, why: "a store keeps bytes; what may be stored is decided above it"},
	{pkg: "internal/framing", others: []string{logger}, why: "it judges bytes before anything else has read them, so it may not lean on anything that would"},
	{pkg: "internal/attempt", why: "what may be sent once more is one question for both tiers, and about net/http alone"},
	{pkg: "events/membus", ours: level0, others: []string{"golang.org/x/sync"}, why: "an in-process bus has the contract of the real one"},

	{pkg: "internal/content", ours: level0, others: []string{logger}, why: "keeps any replica in step with the log of content updates; what a cache is, and where the log comes from, it is told"},

	{pkg: "edge", ours: append(append([]string{"internal/attempt"}, engine[:2:2]...), level0...), others: []string{logger, "github.com/axiomhq/hyperloglog", "github.com/DataDog/sketches-go", "golang.org/x/sync", "github.com/failsafe-go/failsafe-go"},
		why: "a tier takes options; it knows no broker, no Kubernetes and no other tier"},
	{pkg: "shield", ours: append(append([]string{"internal/attempt"}, engine[:2:2]...), level0...), others: []string{logger, "golang.org/x/sync", "github.com/failsafe-go/failsafe-go"},
		why: "as edge"},
	{pkg: "controllers/ingest", ours: level0, others: []string{logger, "github.com/axiomhq/hyperloglog", "github.com/DataDog/sketches-go"},
		why: "turns events into a model; where they came from is not its business"},
	{pkg: "controllers/updates", ours: level0, others: []string{logger, "golang.org/x/time/rate"},
		why: "decides who may have content updated; the broker is behind interfaces that it declares itself"},
	{pkg: "controllers/fleet", ours: append([]string{"controllers/ingest"}, level0...), others: []string{logger, "golang.org/x/sync"},
		why: "reads, decides, applies through interfaces that it declares itself"},

	{pkg: "internal/rabbitmq", ours: append(engine[2:3:3], level0...), others: []string{logger, "github.com/rabbitmq/amqp091-go", "go.opentelemetry.io/otel"},
		why: "the only package that imports amqp091-go"},
	{pkg: "controllers/kube", ours: level0, others: []string{logger, "k8s.io/", "github.com/go-logr/logr", "go.opentelemetry.io/otel"},
		why: "the only package that imports client-go"},
	{pkg: "internal/telemetry", ours: append(engine[:2:2], level0...), others: []string{logger, "github.com/prometheus/", "go.opentelemetry.io/otel"},
		why: "the only package that imports Prometheus"},
	{pkg: "internal/discovery", ours: level0, others: []string{logger}, why: "DNS membership, nothing else"},

	{pkg: "config", others: []string{"go.yaml.in/yaml/v3", "github.com/spf13/pflag"}, why: "what can be set is data; cmd turns it into options"},
	{pkg: "config/rabbitmq", ours: []string{"events"}, why: "the broker's documents, beside the topology that they must equal"},

	{pkg: "cmd/...", ours: []string{"..."}, others: []string{""}, why: "composition roots import everything and are the only users of fx"},
}

// exempt are trees outside the table.
var exempt = []string{"hack/...", "test/...", "internal/archtest", "internal/testleak", "internal/testorigin", "internal/testport", "internal/testrabbit",
	"events/bustest", "internal/httpcache/store/storetest", "controllers/kube/kubetest", "charts/..."}

// A ban keeps a foreign library, or a package of ours, out of a binary, however indirectly it would come in.
type ban struct{ binary, prefix, why string }

var bans = []ban{
	{"cmd/edge", "k8s.io/", "an edge needs no Kubernetes client: less to attack, 30 MB less to pull"},
	{"cmd/shield", "k8s.io/", "as edge"},
	{"cmd/edge", module + "controllers", "an edge reports; it never decides"},
	{"cmd/shield", module + "controllers", "a shield reports; it never decides"},
	{"cmd/controller", module + "internal/httpcache/store", "the controller serves no content"},
	{"cmd/controller", module + "edge", "tiers never link each other"},
	{"cmd/controller", module + "shield", "tiers never link each other"},
}

// onlyIn says which packages of ours may import a foreign library directly.
var onlyIn = map[string][]string{
	"github.com/rabbitmq/amqp091-go": {"internal/rabbitmq"},
	"k8s.io/":                        {"controllers/kube"},
	"github.com/prometheus/":         {"internal/telemetry"},
	"go.opentelemetry.io/":           {"internal/telemetry"},
	"go.uber.org/fx":                 {"cmd/..."},
}
