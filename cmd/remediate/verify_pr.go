package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/forge/dial"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/remediate"
)

// prAddress is that of a pull request on GitHub (pull/N), Gitea and Forgejo
// (pulls/N), or of a merge request on GitLab (-/merge_requests/N).
var prAddress = regexp.MustCompile(`^(https?://[^/?#\s]+/[^?#\s]+?)/(?:pull|pulls|-/merge_requests)/([1-9][0-9]{0,8})(?:/[a-z]*)?$`)

// mergedAs is the commit that the pull request was merged as, empty while it is
// not: what the controller in the cluster remembers, else what the forge says.
func (a *app) mergedAs(ctx context.Context, f *verifyFlags) (string, error) {
	m := prAddress.FindStringSubmatch(f.pr)
	if m == nil {
		return "", fmt.Errorf("--pr %q is no address of a pull request: https://HOST/OWNER/NAME/pull/NUMBER", repo.Redact(f.pr))
	}
	number, err := strconv.Atoi(m[2])
	if err != nil {
		return "", fmt.Errorf("--pr: %w", err)
	}
	if f.opts.Cluster == nil {
		return "", hinted("there is no cluster to look at", "give --context or --kubeconfig")
	}
	if commit := a.remembered(ctx, f); commit != "" {
		return commit, nil
	}
	pr, err := a.asked(ctx, f, m[1], number)
	switch {
	case err != nil:
		return "", err
	case pr.State == forge.Closed:
		return "", fmt.Errorf("pull request %d was closed and not merged: there is nothing to follow", number)
	case pr.State == forge.Merged && pr.MergeCommit == "":
		return "", hinted(fmt.Sprintf("pull request %d is merged, and the forge does not say as which commit", number), "give the commit: --commit REV")
	}
	return pr.MergeCommit, nil
}

// remembered is the commit that a Remediation of the cluster names; whatever fails
// there, the forge can still be asked.
func (a *app) remembered(ctx context.Context, f *verifyFlags) string {
	c, err := remediate.FollowClient(f.opts.Cluster)
	if err != nil {
		return ""
	}
	r, err := remediate.RemediationOf(ctx, c, func(r *v1alpha1.Remediation) bool {
		return r.Status.Commit != "" && r.Status.PullRequest != nil && r.Status.PullRequest.URL == f.pr
	})
	if err != nil || r == nil {
		return ""
	}
	return r.Status.Commit
}

// youngerThan is how far back pull requests are looked through.
const youngerThan = 400 * 24 * time.Hour

// asked is the pull request as its forge has it. The user names the server with
// --pr, so the environment's token may be sent there.
func (a *app) asked(ctx context.Context, f *verifyFlags, address string, number int) (forge.PullRequest, error) {
	none := forge.PullRequest{}
	d := &delivery{app: a, flags: &planFlags{opts: f.opts.Options}, redact: func(s string) string { return s }}
	d.flags.pr.gitURL, d.flags.pr.forge, d.flags.pr.forgeURL = address, f.forge, f.forgeURL
	var err error
	if d.forge, err = a.secret(ctx, "--forge-secret", f.forgeSecret); err != nil {
		return none, err
	}
	t := &target{url: address}
	if t.place, err = d.place(ctx, address); err != nil {
		return none, d.masked(err)
	}
	if err := d.authenticate(ctx, t); err != nil {
		return none, d.masked(err)
	}
	if t.forge, err = dial.New(t.place, t.access); err != nil {
		return none, d.masked(err)
	}
	prs, err := t.forge.List(ctx, time.Now().Add(-youngerThan))
	if err != nil {
		return none, d.masked(err)
	}
	for _, pr := range prs {
		if pr.Number == number {
			return pr, nil
		}
	}
	return none, d.masked(errors.New("there is no pull request of that number, or it is older than a year: give the commit with --commit"))
}
