package testrabbit

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// process is a running server: its script, its Erlang machine and its port mapper, all in one process group.
type process struct {
	group  int
	exited chan struct{}
	mapper *exec.Cmd
	server *exec.Cmd
	guard  *exec.Cmd
	// lifeline is what the guard reads. Its other end closes with this process, however that ends.
	lifeline io.Closer
}

func launch(server string, epmdPort int, dir string, env []string) (*process, error) {
	output, err := os.OpenFile(filepath.Join(dir, "output"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	// Erlang's port mapper is started here, in the foreground: the server would start one as a daemon that outlives it.
	epmd := filepath.Join(filepath.Dir(server), "epmd")
	if _, err := os.Stat(epmd); err != nil {
		epmd = "epmd" // of the system's Erlang
	}
	mapper := command(context.Background(), epmd, []string{"-port", strconv.Itoa(epmdPort), "-address", "127.0.0.1"}, dir, env)
	mapper.Stdout, mapper.Stderr = output, output
	mapper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := mapper.Start(); err != nil {
		return nil, fmt.Errorf("start epmd: %w", err)
	}
	p := &process{group: mapper.Process.Pid, exited: make(chan struct{}), mapper: mapper}
	// A test binary that panics or runs out of time runs no cleanup. The guard notices, ends the group and removes its data.
	guard := exec.Command("/bin/sh", "-c", `cat >/dev/null; kill -s KILL -- "-$1"; sleep 1; rm -rf "$2"`, "guard", strconv.Itoa(p.group), dir)
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.lifeline, err = guard.StdinPipe(); err != nil {
		p.kill()
		return nil, err
	}
	if err := guard.Start(); err != nil {
		p.kill()
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	p.guard = guard
	p.server = command(context.Background(), server, nil, dir, env)
	p.server.Stdout, p.server.Stderr = output, output
	p.server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: p.group}
	if err := p.server.Start(); err != nil {
		p.server = nil
		p.kill()
		return nil, err
	}
	go func() {
		defer close(p.exited)
		_ = p.server.Wait() // how it ended is in its log
	}()
	return p, nil
}

// kill ends the whole group. The guard goes first: afterwards the group's number may belong to somebody else.
func (p *process) kill() {
	if p.guard != nil {
		_ = p.guard.Process.Kill()
		_ = p.guard.Wait()
	}
	if p.lifeline != nil {
		_ = p.lifeline.Close()
	}
	_ = syscall.Kill(-p.group, syscall.SIGKILL)
	_ = p.mapper.Wait()
	if p.server != nil {
		<-p.exited
	}
}

func (p *process) freeze() { _ = syscall.Kill(-p.group, syscall.SIGSTOP) }

func (p *process) thaw() { _ = syscall.Kill(-p.group, syscall.SIGCONT) }

func command(ctx context.Context, name string, args []string, dir string, env []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, env
	return cmd
}
