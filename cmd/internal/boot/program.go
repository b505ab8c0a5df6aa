// Package boot turns a binary's settings and its fx module into a process: command line, environment and file in, one log, one admin
// listener, an orderly stop, and an exit code out.
package boot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/fx"

	"github.com/surgewall/surgewall/config"
)

// Exit codes of every binary.
const (
	ExitOK      = 0 // stopped in order
	ExitFailure = 1 // could not start, a background part failed for good, or the stop took too long
	ExitUsage   = 2 // the settings are wrong; trying again without a change is pointless
)

// Settings are the settings of one binary: a type of package config.
type Settings interface {
	Bind(*pflag.FlagSet)        // declares each setting as a flag; the value before is the default
	Validate() error            // every setting that is not allowed, joined
	StopTimeout() time.Duration // how long the whole stop may take
}

// Program is one binary.
type Program struct {
	Name     string // of the binary, such as "edge"
	Short    string // one sentence of what it does
	Long     string // a paragraph for --help
	Example  string // lines that work as they are
	Settings Settings
	Process  *config.Process // the part of Settings that this package acts on
	// Module is the binary's part of the fx graph. It is asked for when the settings are valid. Constructors and hooks may not wait
	// for anything outside of the process: everything that dials is a Runner.
	Module func() fx.Option
}

// Main runs the program with the process' arguments and environment until it ends, and returns the exit code.
func (p Program) Main() int {
	return p.Run(context.Background(), os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
}

// Run is Main with everything that it takes from the process as an argument. It ends early when the context does, as by a signal.
func (p Program) Run(ctx context.Context, args []string, lookupEnv func(string) (string, bool), stdout, stderr io.Writer) int {
	code := ExitOK
	cmd := p.command(lookupEnv, stdout, func(sources config.Sources) { code = p.serve(ctx, sources, stderr) })
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	if err := cmd.ExecuteContext(ctx); err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(stderr, "%s: %s\n", p.Name, strings.TrimSuffix(line, "\n"))
		}
		fmt.Fprintf(stderr, "%s: run '%s --help' for the settings\n", p.Name, p.Name)
		return ExitUsage
	}
	return code
}

func (p Program) command(lookupEnv func(string) (string, bool), stdout io.Writer, serve func(config.Sources)) *cobra.Command {
	var file string
	var check bool
	cmd := &cobra.Command{
		Use: p.Name, Short: p.Short, Long: p.Long, Example: p.Example, Version: Version(),
		Args: cobra.NoArgs, SilenceErrors: true, SilenceUsage: true,
	}
	flags := cmd.Flags()
	flags.SortFlags = true
	p.Settings.Bind(flags)
	flags.StringVar(&file, "config", "", "YAML `file` with settings: a key is the name of a flag without the dashes")
	flags.BoolVar(&check, "check", false, "validate the settings, print them with their sources, and exit")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	cmd.RunE = func(*cobra.Command, []string) error {
		sources, err := load(flags, file, lookupEnv)
		if err := errors.Join(err, explain(p.Settings.Validate(), sources)); err != nil {
			return err
		}
		if check {
			return config.Print(stdout, flags, sources)
		}
		serve(sources)
		return nil
	}
	return cmd
}

func load(flags *pflag.FlagSet, file string, lookupEnv func(string) (string, bool)) (config.Sources, error) {
	if value, ok := lookupEnv(config.EnvName("config")); ok && file == "" {
		file = value
	}
	var data []byte
	if file != "" {
		var err error
		if data, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("read --config: %w", err)
		}
	}
	return config.Load(flags, file, data, lookupEnv)
}

// explain adds to each setting that is not allowed where it came from.
func explain(err error, sources config.Sources) error {
	var invalid *config.Error
	var joined interface{ Unwrap() []error }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &joined) && !isInvalid(err):
		var all []error
		for _, each := range joined.Unwrap() {
			all = append(all, explain(each, sources))
		}
		return errors.Join(all...)
	case errors.As(err, &invalid):
		switch source := sources[invalid.Key]; source {
		case "", "flag":
			return fmt.Errorf("--%w", err)
		default:
			return fmt.Errorf("%s: %w", source, err)
		}
	}
	return err
}

func isInvalid(err error) bool {
	_, ok := err.(*config.Error) //nolint:errorlint // the question is whether the outermost error is one setting
	return ok
}
