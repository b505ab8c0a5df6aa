package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/surgewall/surgewall/hack/demo/api"
	"github.com/surgewall/surgewall/hack/demo/cluster"
	"github.com/surgewall/surgewall/hack/demo/receipt"
	"github.com/surgewall/surgewall/hack/demo/rush"
	"github.com/surgewall/surgewall/hack/loadgen/load"
)

// localShape is ×10 for a few seconds: without anything to scale there is nothing to wait for.
var localShape = load.Shape{
	Base: 60, Factor: 10, Jump: 5, Lead: 5 * time.Second, Ramp: 8 * time.Second, Hold: 5 * time.Second, Fall: 2 * time.Second, Calm: 5 * time.Second,
}

// runLocal shows the shield's work without a cluster: an origin, a shield and two edges as processes on free loopback ports.
func (d *demo) runLocal(ctx context.Context) (receipt.Receipt, error) {
	r := receipt.Receipt{Where: "local"}
	bin, err := os.MkdirTemp("", "surgewall-demo-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(bin)
	if err := d.phase("build", "origin, shield and edge", func() error {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", bin+string(filepath.Separator), "./hack/demo/origin", "./cmd/shield", "./cmd/edge")
		cmd.Dir, cmd.Stdout, cmd.Stderr = d.root, d.out, d.out
		return cmd.Run()
	}); err != nil {
		return r, err
	}
	stage := &stage{bin: bin}
	defer func() { stage.stop() }()
	if err := d.phase("start", "one origin, one shield, two edges", func() error { return stage.start(ctx) }); err != nil {
		return r, err
	}
	d.say("edges %s and %s, shield %s, origin %s", stage.edges[0].url(), stage.edges[1].url(), stage.shield.url(), stage.origin.url())
	tag := fmt.Sprintf("r%d", time.Now().Unix())
	origin := api.Origin(stage.origin.adminURL())
	shape := localShape
	if d.quick {
		shape.Calm, shape.Hold = time.Second, 2*time.Second
	}
	err = d.phase("crowd", "calm, spike, calm", func() error {
		_, wait, err := rush.Start(ctx, rush.Plan{
			Targets: []string{stage.edges[0].url(), stage.edges[1].url()}, Origin: origin, Shape: shape, ViralShare: 0.5, Tag: tag,
			OnLine: func(l rush.Line) { fmt.Fprintln(d.out, l) },
		})
		if err != nil {
			return err
		}
		r.Load, err = wait()
		return err
	})
	if err != nil {
		return r, err
	}
	if r.Origin, err = rush.OriginPart(ctx, origin, tag); err != nil {
		return r, err
	}
	for i, e := range stage.edges {
		text, err := get(ctx, e.adminURL()+"/metrics")
		if err != nil {
			return r, err
		}
		n, err := cluster.SumMetric(text, cluster.RequestsMetric)
		if err != nil {
			return r, err
		}
		r.PerPod = append(r.PerPod, receipt.Pod{Name: fmt.Sprintf("edge-%d", i+1), Requests: n})
	}
	return r, d.phase("stop", "edges first, each finishing what it began", stage.stop)
}

// stage is the processes of the local demo.
type stage struct {
	bin            string
	origin, shield *process
	edges          []*process
	all            []*process
}

func (s *stage) start(ctx context.Context) error {
	var err error
	if s.origin, err = s.launch(ctx, "origin", "--max-age-s=120"); err != nil {
		return err
	}
	if s.shield, err = s.launch(ctx, "shield", "--origin="+s.origin.url(), "--drain-delay=0s", "--log-level=warn"); err != nil {
		return err
	}
	for i := range 2 {
		e, err := s.launch(ctx, "edge", "--shield="+s.shield.url(), fmt.Sprintf("--pod=edge-%d", i+1), "--connection-max-age=3s", "--drain-delay=0s", "--log-level=warn")
		if err != nil {
			return err
		}
		s.edges = append(s.edges, e)
	}
	return nil
}

// stop ends the processes in reverse order, each of which finishes what it began. Again: nothing.
func (s *stage) stop() error {
	var all error
	for i := len(s.all) - 1; i >= 0; i-- {
		all = errors.Join(all, s.all[i].stop())
	}
	s.all = nil
	return all
}

// process is one of our programs on two free loopback ports.
type process struct {
	name          string
	listen, admin string
	cmd           *exec.Cmd
	log           *os.File
}

func (p *process) url() string      { return "http://" + p.listen }
func (p *process) adminURL() string { return "http://" + p.admin }

func (s *stage) launch(ctx context.Context, name string, args ...string) (*process, error) {
	p := &process{name: name}
	var err error
	if p.listen, p.admin, err = freeAddresses(); err != nil {
		return nil, err
	}
	if p.log, err = os.CreateTemp(s.bin, name+"-*.log"); err != nil {
		return nil, err
	}
	p.cmd = exec.Command(filepath.Join(s.bin, name), append(args, "--listen="+p.listen, "--admin-listen="+p.admin)...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	// An interrupt from the keyboard goes to the driver alone, which stops them in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s.all = append(s.all, p)
	err = cluster.Await(ctx, name+" to be ready", time.Minute, 50*time.Millisecond, func(ctx context.Context) (bool, error) {
		_, err := get(ctx, p.adminURL()+"/readyz")
		return err == nil, err
	})
	if err != nil {
		text, _ := os.ReadFile(p.log.Name())
		return nil, fmt.Errorf("%w\n%s", err, text)
	}
	return p, nil
}

func (p *process) stop() error {
	defer p.log.Close()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	timer := time.AfterFunc(20*time.Second, func() { p.cmd.Process.Kill() })
	defer timer.Stop()
	if err := p.cmd.Wait(); err != nil {
		text, _ := os.ReadFile(p.log.Name())
		return fmt.Errorf("stop %s: %w\n%s", p.name, err, text)
	}
	return nil
}

// freeAddresses finds two free ports. Both are held until both are found, or they could be the same.
func freeAddresses() (string, string, error) {
	a, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer a.Close()
	b, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer b.Close()
	return a.Addr().String(), b.Addr().String(), nil
}

func get(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, text)
	}
	return text, err
}
