package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/internal/report"
	"github.com/remediate-dev/remediate/remediate"
)

// checkFlags are the flags of `remediate check`.
type checkFlags struct {
	opts       remediate.CheckOptions
	failOn     string
	output     string
	outputFile string
}

var checkOutputs = []string{"text", "json", "sarif", "github"}

func newCheck(a *app) *cobra.Command {
	f := &checkFlags{}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Gate a change: say what it newly breaks, silently does not do, and repairs",
		Long: "Compares two states of the Flux repository: the working tree, or --head, against --base. For every Cilium release it says\n" +
			"what the change newly breaks, newly keeps from starting, or silently does not do; what was wrong before; and what it\n" +
			"repairs. No cluster is asked unless --context or --kubeconfig is given: pod ranges come from the repository, and from a\n" +
			"snapshot where there is one.",
		Example: "  remediate check\n" +
			"  remediate check --base origin/main\n" +
			"  remediate check --base HEAD~1 --head HEAD -o json\n" +
			"  remediate check --base origin/main -o sarif --output-file remediate.sarif",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.check(cmd, f) },
	}
	fl := cmd.Flags()
	sourceFlags(fl, &f.opts.Options)
	fl.StringVar(&f.opts.Base, "base", "", "revision to compare with (default: the target branch that CI names, else the merge base with the default branch)")
	fl.StringVar(&f.opts.Head, "head", "", "revision to check (default: the working tree)")
	fl.StringVar(&f.failOn, "fail-on", string(v1alpha1.SeverityWarning), "critical or warning: severity from which an introduced problem fails the check")
	fl.StringVar(&f.opts.Release, "release", "", "NAMESPACE/NAME of the HelmRelease (default: all Cilium releases)")
	fl.StringVar(&f.opts.ClusterPath, "cluster-path", "", "path in the repository of the cluster to check (default: all)")
	fl.StringVarP(&f.output, "output", "o", "text", strings.Join(checkOutputs, ", "))
	fl.StringVar(&f.outputFile, "output-file", "", "write the result to this file instead of stdout")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(checkOutputs, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("fail-on", cobra.FixedCompletions([]string{"critical", "warning"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *app) check(cmd *cobra.Command, f *checkFlags) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
	defer cancel()
	if err := f.check(); err != nil {
		return err
	}
	if cmd.Flags().Changed("context") || cmd.Flags().Changed("kubeconfig") {
		if err := a.cluster(cmd, &f.opts.Options); err != nil {
			return err
		}
	}
	f.opts.FailOn, f.opts.Env = v1alpha1.Severity(f.failOn), os.Getenv
	f.opts.CacheDir = chartCache()
	f.opts.Progress = func(format string, args ...any) { fmt.Fprintf(a.stderr, "► "+format+"\n", args...) }
	out, closeOut, err := a.output(f.outputFile)
	if err != nil {
		return err
	}
	res, err := remediate.Check(ctx, f.opts)
	if err != nil {
		return closeOut(err)
	}
	if err := closeOut(a.printCheck(out, res, f)); err != nil {
		return err
	}
	if remediate.Fails(res) {
		return exitCode(2)
	}
	return nil
}

// check holds flags against each other before anything is read.
func (f *checkFlags) check() error {
	known := false
	for _, o := range checkOutputs {
		known = known || o == f.output
	}
	switch {
	case !known:
		return badOutput(f.output, checkOutputs...)
	case repo.IsURL(f.opts.Repo) && f.opts.Base == "":
		return errors.New("--repo is a URL, and a fresh clone has no change of its own to check: give --base and --head")
	}
	return nil
}

func (a *app) printCheck(w io.Writer, res *v1alpha1.CheckResult, f *checkFlags) error {
	var b bytes.Buffer
	var err error
	switch f.output {
	case "json":
		err = report.CheckJSON(&b, res)
	case "sarif":
		err = report.SARIF(&b, res, report.SARIFOptions{Version: version, Rules: sarifRules()})
	case "github":
		err = report.GitHub(&b, res)
	default:
		err = report.CheckText(&b, res, report.TextOptions{Color: a.colour() && f.outputFile == "", Width: a.width()})
	}
	if err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

// sarifRules is the catalogue as rules.
func sarifRules() []report.Rule {
	var out []report.Rule
	for _, s := range signature.All() {
		out = append(out, report.Rule{ID: s.ID, Title: s.Title, Explanation: s.Explanation, Severity: s.Severity})
	}
	return out
}
