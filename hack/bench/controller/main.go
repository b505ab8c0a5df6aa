// Command controller measures what the controller costs: processor time and
// resident memory of its process while thousands of edges report once a second
// through a real RabbitMQ, and their Deployments and pods are those of a real API
// server. What the edges say is made by the edge's own meter and reporter.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/hack/bench/rig"
)

// What the controller may cost.
const (
	cpuBound    = 0.25     // cores
	memoryBound = 64 << 20 // bytes
)

type options struct {
	edges, fleets, connections int
	rps, misses                float64
	warmUp, duration           time.Duration
	profile                    string
	env                        string
	output                     string
}

func main() {
	var o options
	flag.IntVar(&o.edges, "edges", 2000, "edges in all")
	flag.IntVar(&o.fleets, "fleets", 20, "fleets that they belong to")
	flag.IntVar(&o.connections, "connections", 200, "AMQP connections that the edges share, at least one for each fleet")
	flag.Float64Var(&o.rps, "rps", 90, "requests per second of an edge")
	flag.Float64Var(&o.misses, "misses", 0.03, "part of them that nothing is stored for; with any, an edge reports its keys too")
	flag.DurationVar(&o.warmUp, "warm-up", 20*time.Second, "time before the measurement")
	flag.DurationVar(&o.duration, "duration", 60*time.Second, "of the measurement")
	flag.StringVar(&o.profile, "profile", "", "`directory` for a CPU and a heap profile of the controller")
	flag.StringVar(&o.env, "env", "", "further variables for the controller's environment, separated by spaces, such as GOGC=50")
	flag.StringVar(&o.output, "o", "table", "output: table or json")
	flag.Parse()
	if o.fleets < 1 || o.edges < o.fleets || o.connections < 1 || o.connections > o.edges || !(o.rps > 0) || !(o.misses >= 0 && o.misses <= 1) {
		fmt.Fprintln(os.Stderr, "controller: needs at least one fleet, an edge for each, from 1 to as many connections as edges, requests, and a part of misses from 0 to 1; see --help")
		os.Exit(2)
	}
	rig.Main("controller", o.measure)
}

// result is what the controller costs.
type result struct {
	Edges         int     `json:"edges"`
	Fleets        int     `json:"fleets"`
	Messages      float64 `json:"messages_per_second"` // that the edges published
	Bytes         float64 `json:"bytes_per_message"`   // of their bodies
	CPU           float64 `json:"cpu_cores"`
	CPUBound      float64 `json:"cpu_cores_wanted"`
	Memory        float64 `json:"memory_mib"` // resident, largest of the measurement
	MostMemory    float64 `json:"memory_most_mib"`
	FileMemory    float64 `json:"memory_file_mib"` // part of Memory that is pages of the program
	MemoryBound   float64 `json:"memory_mib_wanted"`
	LostEvents    uint64  `json:"lost_events"`
	DroppedAtEdge uint64  `json:"dropped_before_the_broker"`
}

func (o options) measure(t *testing.T, out io.Writer) error {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := rig.New(t)
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for i := range o.fleets {
		names[fleetName(i)] = true
		if err := r.Fleet(ctx, fleetName(i), o.size(i), map[string]string{"target-rps-per-edge": "100", "max-replicas": "5000"}); err != nil {
			return err
		}
	}
	c, err := r.Controller("", strings.Fields(o.env), o.arguments()...)
	if err != nil {
		return err
	}
	crowd, err := o.speak(ctx, r)
	defer func() {
		cancel()
		_ = crowd.running.Wait()
	}()
	if err != nil {
		return err
	}
	live, done := context.WithTimeout(ctx, 3*time.Minute)
	err = c.Live(live, names)
	done()
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "controller: %d edges of %d fleets are heard\n", o.edges, o.fleets)
	time.Sleep(o.warmUp)
	lost, _ := lostEvents(c, names) // who is heard now matters less than who is at the end
	dropped := crowd.dropped()
	x, err := o.watch(ctx, c, crowd)
	if err != nil {
		return err
	}
	x.DroppedAtEdge = crowd.dropped() - dropped
	now, heard := lostEvents(c, names)
	x.LostEvents = now - min(lost, now)
	if err := o.print(out, x); err != nil {
		return err
	}
	if heard != nil {
		return heard
	}
	if x.LostEvents > 0 {
		return fmt.Errorf("%d events were lost on the way: the figures are those of a controller that was not told everything", x.LostEvents)
	}
	return nil
}

func fleetName(i int) string { return fmt.Sprintf("fleet-%d", i) }

// size is the edges of one fleet: the rest of the division goes to the first ones.
func (o options) size(i int) int {
	n := o.edges / o.fleets
	if i < o.edges%o.fleets {
		n++
	}
	return n
}

func (o options) arguments() []string {
	if o.profile == "" {
		return nil
	}
	return []string{"--pprof-listen", profileAddress}
}

const profileAddress = "127.0.0.1:26060"

func save(ctx context.Context, path, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(file, response.Body)
	return err
}

func (o options) print(w io.Writer, x result) error {
	if o.output == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(x)
	}
	_, err := fmt.Fprintf(w, "%d edges of %d fleets at %g rps each, %.0f messages of %.0f bytes per second\n"+
		"  processor        %.3f cores   (wanted: at most %.2f)\n"+
		"  resident memory  %.1f MiB     (wanted: at most %.0f), of it %.1f MiB pages of the program; %.1f MiB since the start\n"+
		"  lost             %d events on the way, %d before the broker\n",
		x.Edges, x.Fleets, o.rps, x.Messages, x.Bytes, x.CPU, x.CPUBound, x.Memory, x.MemoryBound, x.FileMemory, x.MostMemory, x.LostEvents, x.DroppedAtEdge)
	return err
}
