package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	gogit "github.com/go-git/go-git/v5"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/internal/report"
	"github.com/remediate-dev/remediate/remediate"
)

// delivery is one plan on its way to a pull request.
type delivery struct {
	*app
	flags *planFlags
	spec  v1alpha1.PullRequestSpec
	// secrets are read before anything is planned, so that a wrong flag costs nothing.
	git, forge, proxy map[string][]byte
	signer            gogit.Signer
	// redact hides credentials, once there are any.
	redact func(string) string
	// variable is the environment's that credentials are from; empty when it is none.
	variable string
}

// deliver prepares what is to become of the plan; nil when nothing is.
func (a *app) deliver(ctx context.Context, f *planFlags) (*delivery, error) {
	if !f.pr.delivers() {
		return nil, nil
	}
	d := &delivery{app: a, flags: f, redact: func(s string) string { return s }}
	var err error
	if d.spec, err = f.pr.spec(); err != nil {
		return nil, err
	}
	if f.pr.bundle != "" {
		return d, emptyFolder(f.pr.bundle)
	}
	var signing map[string][]byte
	for _, s := range []struct {
		flag, from string
		to         *map[string][]byte
	}{
		{"--git-secret", f.pr.gitSecret, &d.git}, {"--forge-secret", f.pr.forgeSecret, &d.forge},
		{"--signing-secret", f.pr.signingSecret, &signing}, {"--proxy-secret", f.pr.proxySecret, &d.proxy},
	} {
		if *s.to, err = a.secret(ctx, s.flag, s.from); err != nil {
			return nil, err
		}
	}
	if d.signer, err = repo.SigningSecret(signing).Signer(); err != nil {
		return nil, fmt.Errorf("--signing-secret %s: %w", f.pr.signingSecret, err)
	}
	return d, nil
}

// run does it, and tells on stderr what was done.
func (d *delivery) run(ctx context.Context, res *remediate.Result) error {
	if _, err := report.Choose(&res.Plan, d.flags.candidate); err != nil {
		return err
	}
	if d.flags.pr.bundle != "" {
		return d.bundle(res)
	}
	out, err := d.propose(ctx, res)
	if err != nil {
		return d.masked(err)
	}
	res.Plan.PullRequest = out
	d.tell(out)
	return nil
}

func (d *delivery) propose(ctx context.Context, res *remediate.Result) (*v1alpha1.PullRequestOutcome, error) {
	t, err := d.target(ctx, res)
	if err != nil {
		return nil, err
	}
	p := &remediate.Proposer{
		Forge: t.forge, Remote: &repo.Remote{URL: t.url, Access: t.access},
		Spec: d.spec, Signer: d.signer, Cluster: d.clusterName(res, t.place.Name), Base: t.base,
		Progress: d.progress, Replan: d.replan(res),
	}
	var out *v1alpha1.PullRequestOutcome
	retry := forge.Retry{Progress: func(s string) { d.progress("%s", s) }}
	err = retry.Do(ctx, func(ctx context.Context) error {
		var err error
		out, err = p.Propose(ctx, res, d.flags.candidate)
		return err
	})
	return out, err
}

func (d *delivery) clusterName(res *remediate.Result, repository string) string {
	if d.flags.pr.cluster != "" {
		return d.flags.pr.cluster
	}
	return remediate.ClusterName(res.ClusterPath(), repository)
}

// replan plans with the same flags for a fresh clone of the base branch. Such a
// clone has no history; what was tried is known from the first plan.
func (d *delivery) replan(first *remediate.Result) func(context.Context, string) (*remediate.Result, error) {
	return func(ctx context.Context, dir string) (*remediate.Result, error) {
		opts := d.flags.opts
		opts.Repo, opts.Earlier = dir, first
		return remediate.Plan(ctx, opts)
	}
}

func (d *delivery) progress(format string, args ...any) {
	fmt.Fprintf(d.stderr, "► %s\n", report.Line(d.redact(fmt.Sprintf(format, args...))))
}

// masked hides credentials in an error and its hint.
func (d *delivery) masked(err error) error {
	if own := (*maskedError)(nil); errors.As(err, &own) {
		return err
	}
	text, hint := err.Error(), hintFor(err)
	if p := (*repo.PushError)(nil); errors.As(err, &p) && p.Hint != "" {
		text = strings.Replace(text, " ("+p.Hint+")", "", 1)
	}
	if own := d.credentialsHint(err); own != "" {
		hint = own
	}
	return &maskedError{text: report.Line(d.redact(text)), hint: report.Line(d.redact(hint)), err: err}
}

// credentialsHint is for a server that takes no credentials of the environment,
// or none at all: the hints of others speak of a Secret.
func (d *delivery) credentialsHint(err error) string {
	p := (*repo.PushError)(nil)
	byForge := forge.Is(err, forge.Unauthorized)
	switch {
	case !byForge && !(errors.As(err, &p) && p.Kind == repo.PushUnauthorized):
		return ""
	case d.variable != "" && (byForge || !authenticates(d.git)):
		return "check that " + d.variable + " holds a token of this server that has not expired"
	case !authenticates(d.git) && d.forge == nil:
		return "no credentials were given: name a Secret with them (--git-secret)"
	}
	return ""
}

type maskedError struct {
	text, hint string
	err        error
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Hint() string  { return e.hint }
func (e *maskedError) Unwrap() error { return e.err }

// signs of an outcome: something was done, or nothing.
const (
	done    = "✔"
	nothing = "►"
)

// tell says in one line what was done, and in one each what did not work.
func (d *delivery) tell(out *v1alpha1.PullRequestOutcome) {
	fmt.Fprintf(d.stderr, "%s\n", report.Line(d.redact(outcomeLine(out))))
	for _, w := range out.Warnings {
		fmt.Fprintf(d.stderr, "⚠ %s\n", report.Line(d.redact(w)))
	}
}

func outcomeLine(out *v1alpha1.PullRequestOutcome) string {
	words := map[v1alpha1.PullRequestAction][2]string{
		v1alpha1.PullRequestOpened:    {done, "opened"},
		v1alpha1.PullRequestUpdated:   {done, "updated"},
		v1alpha1.PullRequestUnchanged: {nothing, "unchanged"},
		v1alpha1.PullRequestClosed:    {done, "closed"},
		v1alpha1.PullRequestMerged:    {nothing, "merged already"},
		v1alpha1.PullRequestHandsOff:  {nothing, "left alone"},
		v1alpha1.PullRequestHeld:      {nothing, "held"},
		v1alpha1.PullRequestNoChange:  {nothing, "nothing proposed"},
	}
	w, ok := words[out.Action]
	if !ok {
		w = [2]string{nothing, string(out.Action)}
	}
	if out.URL == "" && out.Action == v1alpha1.PullRequestOpened {
		w[1] = "pushed"
	}
	line := w[0] + " " + w[1]
	if out.URL != "" {
		line += " " + out.URL
	}
	if out.Branch != "" {
		line += " (branch " + out.Branch + ")"
	}
	if len(out.Because) > 0 && out.Action != v1alpha1.PullRequestOpened {
		line += ": " + strings.Join(out.Because, "; ")
	}
	return line
}

// emptyFolder refuses a folder that holds something: patches of an earlier run
// would be applied along.
func emptyFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("--bundle: %w", err)
	case len(entries) > 0:
		return fmt.Errorf("--bundle %s: the folder is not empty; name one that is, or that does not exist yet", dir)
	}
	return nil
}

// bundle writes the pull request as files.
func (d *delivery) bundle(res *remediate.Result) error {
	dir := d.flags.pr.bundle
	if len(res.Plan.Candidates) == 0 {
		why := res.Plan.Abstained
		if why == "" {
			why = "nothing was found"
		}
		fmt.Fprintf(d.stderr, "► nothing to bundle: %s\n", report.Line(why))
		return nil
	}
	files, err := remediate.Bundle(res, d.flags.candidate, d.spec, d.clusterName(res, ""), time.Now())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("--bundle: %w", err)
	}
	var patches []string
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return fmt.Errorf("--bundle: %w", err)
		}
		if strings.HasSuffix(name, ".patch") {
			patches = append(patches, filepath.Join(dir, name))
		}
	}
	slices.Sort(patches)
	fmt.Fprintf(d.stderr, "✔ wrote %s: apply it with git am %s\n", dir, strings.Join(patches, " "))
	return nil
}
