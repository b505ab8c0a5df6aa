package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/surgewall/surgewall/cmd/internal/guard"
	"github.com/surgewall/surgewall/controllers/fleet"
)

// maxAnswer bounds what is read from a controller: it keeps a thousand decisions of about two kilobytes for a fleet.
const maxAnswer = 64 << 20

// get asks the controller, and decodes its answer into the value.
func (o *options) get(ctx context.Context, path string, query url.Values, into any) error {
	return o.call(ctx, http.MethodGet, path, query, nil, into)
}

// call sends a value, unless it is nil, and decodes the answer into another, unless that is nil.
func (o *options) call(ctx context.Context, method, path string, query url.Values, value, into any) error {
	base, err := url.Parse(o.controller)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return fmt.Errorf("--controller: %q is not allowed: want http://host:port", o.controller)
	}
	target := base.JoinPath(path)
	target.RawQuery = query.Encode()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	content, err := body(value)
	if err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, method, target.String(), content)
	if err != nil {
		return fmt.Errorf("--controller: %w", err)
	}
	if method != http.MethodGet {
		request.Header.Set("Content-Type", "application/json")
	}
	if err := o.authorize(request); err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		// The user's own limit is not the absence of a controller.
		if cause := context.Cause(ctx); ctx.Err() != nil && !errors.Is(cause, ctx.Err()) {
			return failure{fmt.Errorf("ask the controller at %s: %w", o.controller, cause)}
		}
		return failure{fmt.Errorf("ask the controller: %w\nNobody answers at %s. --controller or SURGEWALL_CONTROLLER names the HTTP API of a controller; in a cluster reach it with\n  kubectl port-forward service/surgewall-controller 8082", reachable(err), o.controller)}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		if cause := context.Cause(ctx); ctx.Err() != nil {
			err = cause
		}
		return failure{fmt.Errorf("read the controller's answer: %w", err)}
	}
	if response.StatusCode/100 != 2 {
		var problem fleet.Problem
		if json.Unmarshal(text, &problem) == nil && problem.Error != "" {
			return failure{explainStatus(response.StatusCode, problem.Error)}
		}
		return failure{fmt.Errorf("%s answers %s", o.controller, response.Status)}
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return failure{fmt.Errorf("%s is no controller of this version: %w", o.controller, err)}
	}
	return nil
}

// authorize adds the token, where there is one: a controller that wants none would not be asked with it.
func (o *options) authorize(request *http.Request) error {
	if o.tokenFile == "" {
		return nil
	}
	token, err := guard.ReadToken(o.tokenFile)
	if err != nil {
		return fmt.Errorf("--token-file: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	return nil
}

// explainStatus says what to do about answers of the guard.
func explainStatus(code int, text string) error {
	switch code {
	case http.StatusUnauthorized:
		return errors.New("the controller wants another token: give its file with --token-file")
	case http.StatusTooManyRequests:
		return errors.New("the controller has too many calls: try again in a second")
	}
	if code == http.StatusServiceUnavailable {
		return unavailable{errors.New(text)}
	}
	return errors.New(text)
}

// unavailable is what may be tried again as it is: the controller answers, and lacks something at the moment.
type unavailable struct{ error }

// reachable is an error of the network without the request around it.
func reachable(err error) error {
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

func (o *options) json(cmd *cobra.Command, value any) error {
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// completeFleets offers the names of the fleets, where a controller answers.
func (o *options) completeFleets(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	var list fleet.FleetList
	if len(args) > 0 || o.get(cmd.Context(), "/v1/fleets", nil, &list) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, s := range list.Fleets {
		if strings.HasPrefix(s.Fleet, prefix) {
			names = append(names, s.Fleet)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
