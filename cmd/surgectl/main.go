// Command surgectl shows what a controller decides for its fleets, and why, checks a policy before it is applied, and prepares a broker.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/surgewall/surgewall/cmd/internal/boot"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // the controller cannot be asked, or a policy would be refused
	exitUsage   = 2 // the command line is wrong
)

// failure is an error of what was asked for, not of the command line.
type failure struct{ error }

// Unwrap returns what failed.
func (f failure) Unwrap() error { return f.error }

func run(ctx context.Context, args []string, lookupEnv func(string) (string, bool), stdin io.Reader, stdout, stderr io.Writer) int {
	root := command(lookupEnv)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "surgectl: %v\n", err)
	if _, ok := err.(failure); ok { //nolint:errorlint // made by this package, never wrapped
		return exitFailure
	}
	fmt.Fprintln(stderr, "surgectl: run 'surgectl --help' for the commands")
	return exitUsage
}

// options are what every command shares.
type options struct {
	controller string
	output     string
	tokenFile  string
}

func command(lookupEnv func(string) (string, bool)) *cobra.Command {
	o := new(options)
	root := &cobra.Command{
		Use:   "surgectl",
		Short: "Shows what a Surgewall controller decides for its fleets, and why, and tells it what is planned and what has changed.",
		Example: `  # Every fleet in one line.
  surgectl fleets --controller http://127.0.0.1:8082

  # Why a fleet has the size that it has, and what was decided lately.
  surgectl explain edge
  surgectl decisions edge --since 10m

  # Kick-off: five times the load at 20:55, edges added from 20:45 on.
  surgectl plan add edge "at 20:55, x5, ramp 10m, for 2h" --token-file token

  # Would this ConfigMap be accepted?
  surgectl policy check policy.yaml

  # A page has changed: purge it everywhere, and wait until that is done.
  surgectl purge https://www.example.com/ --wait --token-file token.txt

  # Is the broker as it should be?
  surgectl setup --check --management http://127.0.0.1:15672 --username admin --password-file admin.txt`,
		SilenceErrors: true, SilenceUsage: true, Version: boot.Version(),
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if o.output != "table" && o.output != "json" {
				return fmt.Errorf("--output: %q is not allowed: want table or json", o.output)
			}
			return nil
		},
	}
	url := "http://127.0.0.1:8082"
	if v, ok := lookupEnv("SURGEWALL_CONTROLLER"); ok && v != "" {
		url = v
	}
	o.tokenFile, _ = lookupEnv("SURGEWALL_TOKEN_FILE")
	root.PersistentFlags().StringVar(&o.controller, "controller", url, "`URL` of a controller's HTTP API; also SURGEWALL_CONTROLLER")
	root.PersistentFlags().StringVarP(&o.output, "output", "o", "table", "`format`: table or json")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
	root.AddCommand(fleetsCommand(o), explainCommand(o), decisionsCommand(o), planCommand(o), policyCommand(o), simulateCommand(o), setupCommand(o, lookupEnv), versionCommand())
	root.AddCommand(contentCommands(o)...)
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), boot.Version()) },
	}
}
