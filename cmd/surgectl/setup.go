package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/surgewall/surgewall/config/rabbitmq"
	"github.com/surgewall/surgewall/events"
)

// setup is what the command line asks for.
type setup struct {
	*options
	management, username, passwordFile, caFile string
	vhost, passwords                           string
	fleets                                     []string
	check, dryRun                              bool
}

func setupCommand(o *options, lookupEnv func(string) (string, bool)) *cobra.Command {
	s := &setup{options: o}
	cmd := &cobra.Command{
		Use: "setup", Short: "Prepare a RabbitMQ: users, permissions, exchanges, queues, bindings, policies", Args: cobra.NoArgs,
		Long: `Prepare a RabbitMQ: users, permissions, exchanges, queues, bindings, policies.

It asks the management API what the broker has, shows each difference, and makes up for
what is missing or can be changed. It never deletes: what cannot be changed, and rights
that should not be, are shown and left to you. With --check nothing is changed, and the
exit code is 1 where the broker is not as it should be. The user needs the tag
administrator; no process of Surgewall does.

Each user without a file in --passwords is made without a password: only a certificate
lets it in. The password of a user that has a file is set to what the file says.`,
		Example: `  # What would be done?
  surgectl setup --management http://127.0.0.1:15672 --username admin --password-file admin.txt --dry-run

  # Two fleets; the files passwords/edge, passwords/video, passwords/shield, … hold a password each.
  surgectl setup --management https://broker:15671 --ca-file ca.pem --username admin --password-file admin.txt \
    --fleet edge --fleet video --passwords passwords/`,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd.Context(), cmd) },
	}
	url := "http://127.0.0.1:15672"
	if v, ok := lookupEnv("SURGEWALL_MANAGEMENT"); ok && v != "" {
		url = v
	}
	fs := cmd.Flags()
	fs.StringVar(&s.management, "management", url, "`URL` of the broker's management API; also SURGEWALL_MANAGEMENT")
	fs.StringVar(&s.username, "username", "guest", "`user` with the tag administrator")
	fs.StringVar(&s.passwordFile, "password-file", "", "`file` with the password of that user")
	fs.StringVar(&s.caFile, "ca-file", "", "PEM `file` with the authorities to trust; the system's when empty")
	fs.StringVar(&s.vhost, "vhost", rabbitmq.VHost, "virtual `host` to prepare")
	fs.StringArrayVar(&s.fleets, "fleet", []string{rabbitmq.Fleet}, "`name` of a fleet, which is its user's name too; may be repeated")
	fs.StringVar(&s.passwords, "passwords", "", "`directory` with a file for each user, named like it, that holds its password")
	fs.BoolVar(&s.check, "check", false, "change nothing; exit 1 where the broker is not as it should be")
	fs.BoolVar(&s.dryRun, "dry-run", false, "change nothing; show what would be done")
	cmd.MarkFlagsMutuallyExclusive("check", "dry-run")
	return cmd
}

func (s *setup) run(ctx context.Context, cmd *cobra.Command) error {
	if s.vhost == "" {
		return errors.New("--vhost: empty is not allowed: want the name of a virtual host")
	}
	want, err := rabbitmq.Default()
	if err != nil {
		return failure{err}
	}
	for _, name := range s.fleets {
		reserved := slices.ContainsFunc(want.Users, func(u rabbitmq.User) bool { return u.Name == name && name != rabbitmq.Fleet })
		if err := events.CheckFleet(name); err != nil {
			return fmt.Errorf("--fleet: %w", err)
		}
		if reserved {
			return fmt.Errorf("--fleet: %q is not allowed: it is the user of another role", name)
		}
	}
	want = want.For(s.vhost, s.fleets...)
	broker, err := newManagement(s.management, s.username, s.passwordFile, s.caFile)
	if err != nil {
		return err
	}
	have, err := broker.definitions(ctx)
	if err != nil {
		return failure{err}
	}
	differences := rabbitmq.Diff(want, have)
	stale, err := s.takePasswords(&want, have)
	if err != nil {
		return failure{err}
	}
	differences = append(differences, stale...)
	if err := s.show(cmd, differences); err != nil {
		return err
	}
	if s.check && len(differences) > 0 {
		return failure{fmt.Errorf("%s is not as it should be: %d differences", s.management, len(differences))}
	}
	if s.check || s.dryRun || !slices.ContainsFunc(differences, importable) {
		return s.left(differences)
	}
	if err := broker.apply(ctx, without(want, differences)); err != nil {
		return failure{err}
	}
	if have, err = broker.definitions(ctx); err != nil {
		return failure{err}
	}
	return s.left(rabbitmq.Diff(want, have))
}

// left is an error where something is still to be done that an import cannot do.
func (s *setup) left(differences []rabbitmq.Difference) error {
	if s.dryRun {
		return nil
	}
	if n := len(differences); n > 0 {
		first := differences[0]
		return failure{fmt.Errorf("%d differences are left, the first: %s %s: %s", n, first.Kind, first.Name, first.Detail)}
	}
	return nil
}

func importable(d rabbitmq.Difference) bool {
	return d.Action == rabbitmq.Add || d.Action == rabbitmq.Change
}

// without leaves out what is fixed: with it, the broker would refuse the import at that point and leave the rest undone.
func without(d rabbitmq.Definitions, differences []rabbitmq.Difference) rabbitmq.Definitions {
	fixed := func(kind, name string) bool {
		return slices.ContainsFunc(differences, func(x rabbitmq.Difference) bool {
			return x.Action == rabbitmq.Fixed && x.Kind == kind && x.Name == name
		})
	}
	d.Exchanges = slices.DeleteFunc(slices.Clone(d.Exchanges), func(x rabbitmq.Exchange) bool { return fixed("exchange", x.Name) })
	d.Queues = slices.DeleteFunc(slices.Clone(d.Queues), func(q rabbitmq.Queue) bool { return fixed("queue", q.Name) })
	return d
}

// algorithm is RabbitMQ's default since 3.6.
const algorithm = "rabbit_password_hashing_sha256"

// takePasswords puts the hashes in: of the file, where there is one, else the one that the broker has. No password leaves this process.
func (s *setup) takePasswords(want *rabbitmq.Definitions, have rabbitmq.Definitions) (stale []rabbitmq.Difference, err error) {
	for i := range want.Users {
		u := &want.Users[i]
		now := slices.IndexFunc(have.Users, func(h rabbitmq.User) bool { return h.Name == u.Name })
		if now >= 0 {
			u.Hash, u.Algorithm = have.Users[now].Hash, have.Users[now].Algorithm
		}
		password, err := s.password(u.Name)
		if err != nil {
			return nil, err
		}
		if password == "" || verifies(password, u.Hash, u.Algorithm) {
			continue
		}
		var salt [4]byte
		_, _ = rand.Read(salt[:]) // never fails
		u.Hash, u.Algorithm = hash(salt[:], password), algorithm
		if now >= 0 {
			stale = append(stale, rabbitmq.Difference{Action: rabbitmq.Change, Kind: "user", Name: u.Name, Detail: "password"})
		}
	}
	return stale, nil
}

func (s *setup) password(user string) (string, error) {
	if s.passwords == "" {
		return "", nil
	}
	content, err := os.ReadFile(filepath.Join(s.passwords, user))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("--passwords: %w", err)
	}
	password := strings.TrimSpace(string(content))
	if password == "" {
		return "", fmt.Errorf("--passwords: the file %s is empty", filepath.Join(s.passwords, user))
	}
	return password, nil
}

func hash(salt []byte, password string) string {
	sum := sha256.Sum256(append(bytes.Clone(salt), password...))
	return base64.StdEncoding.EncodeToString(append(bytes.Clone(salt), sum[:]...))
}

func verifies(password, hashed, by string) bool {
	raw, err := base64.StdEncoding.DecodeString(hashed)
	return err == nil && len(raw) == 4+sha256.Size && by == algorithm && hash(raw[:4], password) == hashed
}

func (s *setup) show(cmd *cobra.Command, differences []rabbitmq.Difference) error {
	if s.output == "json" {
		if differences == nil {
			differences = []rabbitmq.Difference{}
		}
		return s.json(cmd, differences)
	}
	return showDifferences(cmd.OutOrStdout(), differences)
}

// showDifferences writes one line for each, with a sign as in a diff.
func showDifferences(w io.Writer, differences []rabbitmq.Difference) error {
	signs := map[rabbitmq.Action]string{rabbitmq.Add: "+", rabbitmq.Change: "~", rabbitmq.Fixed: "!", rabbitmq.Extra: "-"}
	for _, d := range differences {
		text := d.Detail
		switch d.Action {
		case rabbitmq.Fixed:
			text += ": cannot be changed: delete it, with what it holds, and run setup again"
		case rabbitmq.Extra:
			text = strings.TrimSuffix("should not be there: "+text, ": ")
		case rabbitmq.Add, rabbitmq.Change:
		}
		line := signs[d.Action] + " " + d.Kind + " " + d.Name
		if text != "" {
			line += ": " + text
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	if len(differences) == 0 {
		_, err := fmt.Fprintln(w, "the broker is as it should be")
		return err
	}
	return nil
}
