package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/report"
	"github.com/remediate-dev/remediate/remediate"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// verifyFlags are the flags of `remediate verify`.
type verifyFlags struct {
	opts        remediate.VerifyOptions
	pr          string
	forge       string
	forgeURL    string
	forgeSecret string
	output      string
	outputFile  string
}

var verifyOutputs = []string{"text", "json"}

func newVerify(a *app) *cobra.Command {
	f := &verifyFlags{}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Follow a merged change to every agent and to what pods experience",
		Long: "Says how far a merged change got: whether Flux applied it, whether every agent runs it, which nodes do not and why, and\n" +
			"whether what failed works. A verdict about flows rests on probes that are installed in the cluster and made new\n" +
			"connections after every agent had the change; without probes there is none. It writes nothing.\n\n" +
			"Without --wait it looks once, and listens to the probes for the hold time where every agent runs the change.\n\n" +
			"Exit codes: 0 Verified, 1 an error, 2 any other verdict, or none yet.",
		Example: "  remediate verify --commit HEAD\n" +
			"  remediate verify --pr https://github.com/org/fleet/pull/42 --wait --timeout 30m\n" +
			"  remediate verify --commit origin/main -o json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.verify(cmd, f) },
	}
	fl, o := cmd.Flags(), &f.opts
	fl.StringVar(&o.Commit, "commit", "", "the merged commit, as a revision of the checkout")
	fl.StringVar(&f.pr, "pr", "", "address of the pull request that was merged, in place of --commit")
	fl.BoolVar(&o.Wait, "wait", false, "look until there is a verdict, or --timeout is over")
	fl.DurationVar(&o.Hold, "hold", verify.DefaultHold, "how long flows must work, or fail, before that is a verdict")
	fl.DurationVar(&o.Grace, "grace", verify.DefaultGrace, "how long agents may take before a change that is not active is called so")
	fl.StringVar(&o.ProbeNamespace, "probe-namespace", "", "where to look for probes (default: everywhere)")
	fl.StringVar(&o.Repo, "repo", "", "directory in a Git checkout, or a URL to clone (default: the checkout one stands in)")
	fl.StringVar(&o.Release, "release", "", "NAMESPACE/NAME of the HelmRelease, where the commit changes several")
	fl.StringVar(&o.ClusterPath, "cluster-path", "", "path of the cluster in the repository, where the commit changes several")
	fl.StringVar(&o.Chart, "chart", "", "folder or archive of the chart (default: the one that the HelmRelease names, from the cache, else pulled)")
	fl.BoolVar(&o.Offline, "offline", false, "pull nothing: no chart is fetched that is not in the cache")
	fl.StringVar(&f.forge, "forge", "", "with --pr: what the server is, where its address does not tell: "+strings.Join(forgeKinds, ", "))
	fl.StringVar(&f.forgeURL, "forge-url", "", "with --pr: https address of the forge or of its API, where it is not the pull request's")
	fl.StringVar(&f.forgeSecret, "forge-secret", "", "with --pr: token for the forge's API; a Secret: NAMESPACE/NAME in the cluster, a FILE with its manifest, or a folder with its keys as files")
	fl.StringVarP(&f.output, "output", "o", "text", strings.Join(verifyOutputs, ", "))
	fl.StringVar(&f.outputFile, "output-file", "", "write the result to this file instead of stdout")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(verifyOutputs, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// check holds flags against each other before anything is read.
func (f *verifyFlags) check() error {
	switch {
	case !slices.Contains(verifyOutputs, f.output):
		return badOutput(f.output, verifyOutputs...)
	case f.opts.Commit == "" && f.pr == "":
		return hinted("nothing is named that could be followed", "give --commit REV, or --pr URL")
	case f.opts.Commit != "" && f.pr != "":
		return errors.New("--commit and --pr contradict each other: give one")
	case f.pr == "" && (f.forge != "" || f.forgeURL != "" || f.forgeSecret != ""):
		return errors.New("--forge, --forge-url and --forge-secret go with --pr")
	case f.forge != "" && !slices.Contains(forgeKinds, f.forge):
		return fmt.Errorf("--forge %q is not known: there are %s", f.forge, strings.Join(forgeKinds, ", "))
	case f.opts.Hold <= 0:
		return errors.New("--hold must be longer than 0")
	case f.opts.Grace <= 0:
		return errors.New("--grace must be longer than 0")
	}
	return nil
}

func (a *app) verify(cmd *cobra.Command, f *verifyFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if err := a.onlyCluster(&f.opts.Options, cmd.Flags().Changed("context")); err != nil {
		return err
	}
	f.opts.CacheDir = chartCache()
	// What controller-runtime's client has to say would stand between progress and errors.
	ctrllog.SetLogger(logr.Discard())
	ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
	defer cancel()
	t := newTalk(a, false)
	f.opts.Progress = t.say
	last := ""
	f.opts.Looked = func(s verify.State) {
		if s.Summary != last && s.Verdict == verify.Pending {
			last = s.Summary
			t.say("%s", s.Summary)
		}
	}
	out, closeOut, err := a.output(f.outputFile)
	if err != nil {
		return err
	}
	r, err := a.verified(ctx, f)
	if err != nil {
		return closeOut(a.whyEnded(ctx, err))
	}
	var b bytes.Buffer
	if f.output == "json" {
		err = report.VerifyJSON(&b, r)
	} else {
		err = report.VerifyText(&b, r, report.TextOptions{Color: a.colour() && f.outputFile == "", Width: a.width()})
	}
	if err == nil {
		_, err = out.Write(b.Bytes())
	}
	if err := closeOut(err); err != nil {
		return err
	}
	if r.Verdict != string(verify.Verified) {
		return exitCode(2)
	}
	return nil
}

// verified follows the commit, or first finds the one that a pull request was
// merged as.
func (a *app) verified(ctx context.Context, f *verifyFlags) (*v1alpha1.VerifyResult, error) {
	if f.pr == "" {
		return remediate.Verify(ctx, f.opts)
	}
	f.opts.PullRequest = f.pr
	for {
		commit, err := a.mergedAs(ctx, f)
		switch {
		case err != nil:
			return nil, err
		case commit != "":
			f.opts.Commit = commit
			return remediate.Verify(ctx, f.opts)
		case !f.opts.Wait:
			return notMerged(f), nil
		}
		select {
		case <-ctx.Done():
			return notMerged(f), nil
		case <-time.After(mergedEvery):
		}
	}
}

// mergedEvery is how often a forge is asked whether a pull request was merged.
const mergedEvery = 15 * time.Second

func notMerged(f *verifyFlags) *v1alpha1.VerifyResult {
	r := verify.Judge(verify.Input{}).Result()
	r.PullRequest = f.pr
	return &r
}
