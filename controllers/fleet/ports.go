package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/events"
)

// Scaler reads and writes the scale of Deployments. Errors whose chain has a
// method NotFound() bool or Conflict() bool are told apart by it.
type Scaler interface {
	// Deployment is the latest that the watches have shown. It does not wait for
	// the network.
	Deployment(name string) (autoscale.Target, error)
	// Scale reads the replicas that are asked for from the API server, and the
	// version that a write must name.
	Scale(ctx context.Context, name string) (replicas int, version string, err error)
	// SetScale asks for replicas if the scale still has this version; otherwise it
	// fails with a conflict and changes nothing.
	SetScale(ctx context.Context, name, version string, replicas int) error
	// Floor and SetFloor are the same for minReplicas of a HorizontalPodAutoscaler.
	Floor(ctx context.Context, autoscaler string) (replicas int, version string, err error)
	SetFloor(ctx context.Context, autoscaler, version string, replicas int) error
	// Pending counts the pods of the fleet that should be Ready and are not, and
	// says why of one of them.
	Pending(fleet string) (pods int, why string)
	// StartTime is the time from the creation of a pod of the fleet to its
	// readiness that nine of ten pods keep; 0 while none was seen.
	StartTime(fleet string) time.Duration
}

// Signals knows the load of a fleet. The clamp is the most that one edge may
// contribute, that of Latency in requests per second.
type Signals interface {
	Read(fleet string, clamp ingest.Clamp) ingest.Reading
	// Latency returns the times to first byte that half, and all but one of a
	// hundred, of the latest requests kept; 0 where nothing is known.
	Latency(fleet string, clamp float64) (p50, p99 time.Duration)
}

// Leadership says which replica of the controller writes.
type Leadership interface {
	Leading() bool    // whether this one may write now
	Leader() string   // name of the one that does; empty while unknown
	Identity() string // name of this one
}

// Recorder shows what happened where an operator looks first: as Kubernetes
// Events. It must not block.
type Recorder interface {
	OnDeployment(name string, warning bool, reason, message string)
	OnPolicy(name string, warning bool, reason, message string)
}

// Publisher sends a message to the bus, or drops it; it must not block.
type Publisher interface{ Publish(events.Message) }

func isConflict(err error) bool {
	var c interface{ Conflict() bool }
	return errors.As(err, &c) && c.Conflict()
}

// isUnanswered reports whether an error only says that it is too early to tell.
func isUnanswered(err error) bool {
	var u interface{ Unanswered() bool }
	return errors.As(err, &u) && u.Unanswered()
}

func isNotFound(err error) bool {
	var n interface{ NotFound() bool }
	return errors.As(err, &n) && n.NotFound()
}
