package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/internal/report"
	"github.com/remediate-dev/remediate/remediate"
)

// planFlags are the flags of `remediate plan`.
type planFlags struct {
	opts       remediate.Options
	output     string
	outputFile string
	write      bool
	force      bool
	candidate  string
	detailed   bool
	pr         prFlags
}

var planOutputs = []string{"text", "json", "yaml", "markdown", "html", "diff"}

func newPlan(a *app) *cobra.Command {
	f := &planFlags{}
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Diagnose, propose, prove: print the plan, change nothing",
		Long: "Reads the Flux repository one stands in and, when there is one, a snapshot or the cluster; says what is wrong and how\n" +
			"it knows; lists the changes of Helm values that fix it, each proven; and says why other ideas do not.\n" +
			"Without --snapshot and --context it asks the current kubeconfig context, and the repository alone when that does not answer.",
		Example: "  remediate plan\n" +
			"  remediate plan --repo ./home-ops --snapshot ./snapshot\n" +
			"  remediate plan --pod-cidr fd00:101:224::/60 -o json\n" +
			"  remediate plan -o diff | git apply\n" +
			"  remediate plan --open-pr --git-secret flux-system/flux-system\n" +
			"  remediate plan --bundle ./out",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.plan(cmd, f) },
	}
	fl := cmd.Flags()
	sourceFlags(fl, &f.opts)
	fl.StringVar(&f.opts.Release, "release", "", "NAMESPACE/NAME of the HelmRelease, when the repository holds several Cilium releases")
	fl.StringVar(&f.opts.ClusterPath, "cluster-path", "", "path in the repository of the cluster to plan for, when it holds several")
	fl.StringVarP(&f.output, "output", "o", "text", strings.Join(planOutputs, ", "))
	fl.StringVar(&f.outputFile, "output-file", "", "write the plan to this file instead of stdout")
	fl.BoolVar(&f.write, "write", false, "apply the first candidate, or --candidate, to the working tree; nothing else is written")
	fl.BoolVar(&f.opts.WithCopies, "with-copies", false, "change copies of the values too: what a helmfile, a Talos inline manifest or the like installs Cilium with before Flux runs")
	fl.BoolVar(&f.force, "force", false, "with --write: also write to files with uncommitted changes")
	fl.BoolVar(&f.opts.ExplainInFile, "explain-in-file", false, "write a short comment with the reason above each changed value")
	fl.StringVar(&f.candidate, "candidate", "", "id of the candidate to write or to print with -o diff (default: the first)")
	fl.BoolVar(&f.detailed, "detailed-exitcode", false, "exit with 2 when there are findings of severity warning or critical")
	f.pr.register(cmd, fl)
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(planOutputs, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *app) plan(cmd *cobra.Command, f *planFlags) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
	defer cancel()
	if err := f.check(); err != nil {
		return err
	}
	if err := a.cluster(cmd, &f.opts); err != nil {
		return err
	}
	f.opts.CacheDir = chartCache()
	f.opts.Progress = func(format string, args ...any) { fmt.Fprintf(a.stderr, "► "+format+"\n", args...) }
	d, err := a.deliver(ctx, f)
	if err != nil {
		return err
	}
	out, closeOut, err := a.output(f.outputFile)
	if err != nil {
		return err
	}
	res, err := remediate.Plan(ctx, f.opts)
	if err != nil {
		return closeOut(err)
	}
	var undelivered error
	if d != nil {
		undelivered = d.run(ctx, res)
	}
	if err := closeOut(a.print(out, &res.Plan, f)); err != nil {
		return errors.Join(undelivered, err)
	}
	if undelivered != nil {
		return undelivered
	}
	if f.output == "diff" && len(res.Plan.Candidates) == 0 && res.Plan.Abstained != "" {
		fmt.Fprintf(a.stderr, "► no change is proposed, so there is no diff: %s\n", report.Line(res.Plan.Abstained))
	}
	if f.write {
		if err := a.write(res, f); err != nil {
			return err
		}
	}
	if f.detailed && serious(res.Plan.Findings) {
		return exitCode(2)
	}
	return nil
}

// check holds flags against each other before anything is read.
func (f *planFlags) check() error {
	known := false
	for _, o := range planOutputs {
		known = known || o == f.output
	}
	switch {
	case !known:
		return badOutput(f.output, planOutputs...)
	case f.force && !f.write:
		return errors.New("--force goes with --write")
	case f.write && repo.IsURL(f.opts.Repo):
		return errors.New("--write needs a working tree, and --repo is a URL: clone it yourself and give --repo DIR")
	case f.write && f.output == "diff" && f.outputFile == "":
		return errors.New("--write and -o diff contradict each other: piped into git apply the change would be made twice")
	}
	return f.pr.check(f.write, f.opts.Offline)
}

// noServer is the address that cli-runtime falls back to without a kubeconfig
// (genericclioptions/config_flags.go, clientcmd.ClusterDefaults).
const noServer = "http://localhost:8080"

// cluster decides whether facts come from an API server.
func (a *app) cluster(cmd *cobra.Command, opts *remediate.Options) error {
	named := cmd.Flags().Changed("context") && *a.kube.Context != "" || cmd.Flags().Changed("kubeconfig")
	if opts.Snapshot != "" {
		if named {
			return errors.New("--snapshot and --context contradict each other: give the one that the facts should come from")
		}
		return nil
	}
	if cmd.Flags().Changed("context") && *a.kube.Context == "" {
		return nil
	}
	loader := a.kube.ToRawKubeConfigLoader()
	cfg, err := loader.ClientConfig()
	switch {
	case err == nil:
	case named:
		return fmt.Errorf("kubeconfig: %w", err)
	case clientcmd.IsEmptyConfig(err):
		return nil
	default:
		fmt.Fprintf(a.stderr, "► kubeconfig is not usable (%v): the repository alone speaks\n", err)
		return nil
	}
	raw, err := loader.RawConfig()
	if err == nil && len(raw.Clusters) == 0 && !named && cfg.Host == noServer {
		fmt.Fprintln(a.stderr, "► no kubeconfig: the repository alone speaks")
		return nil
	}
	opts.Cluster, opts.ClusterOptional = cfg, !named
	opts.ClusterName = *a.kube.Context
	if err == nil && opts.ClusterName == "" {
		opts.ClusterName = raw.CurrentContext
	}
	return nil
}

// output opens where the plan goes; the returned function closes it and keeps
// the first error. Nothing is left behind when planning fails.
func (a *app) output(file string) (io.Writer, func(error) error, error) {
	if file == "" {
		return a.stdout, func(err error) error { return err }, nil
	}
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return nil, nil, fmt.Errorf("--output-file %s is a directory: name a file in it", file)
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".remediate-*")
	if err != nil {
		return nil, nil, fmt.Errorf("--output-file %s cannot be written: %w", file, err)
	}
	return tmp, func(err error) error {
		closeErr := tmp.Close()
		if err == nil {
			err = closeErr
		}
		if err == nil {
			err = os.Chmod(tmp.Name(), 0o644)
		}
		if err == nil {
			err = os.Rename(tmp.Name(), file)
		}
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
		return err
	}, nil
}

func (a *app) print(w io.Writer, p *v1alpha1.Plan, f *planFlags) error {
	var b bytes.Buffer
	if err := a.render(&b, p, f); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (a *app) render(w io.Writer, p *v1alpha1.Plan, f *planFlags) error {
	toTerminal := a.terminal() && f.outputFile == ""
	colour := a.colour() && f.outputFile == ""
	chosen, err := report.Choose(p, f.candidate)
	if err != nil {
		return err
	}
	switch f.output {
	case "json":
		return report.JSON(w, p)
	case "yaml":
		return report.YAML(w, p)
	case "diff":
		return report.Diff(w, p, report.DiffOptions{Candidate: f.candidate, Color: colour, Terminal: toTerminal})
	case "markdown":
		return report.Markdown(w, chosen)
	case "html":
		return report.HTML(w, chosen)
	}
	return report.Text(w, chosen, report.TextOptions{Color: colour, Width: a.width()})
}

// pick finds the chosen candidate, or the first.
func pick(p *v1alpha1.Plan, id string) (v1alpha1.Candidate, error) {
	var ids []string
	for _, c := range p.Candidates {
		if id == "" || c.ID == id {
			return c, nil
		}
		ids = append(ids, c.ID)
	}
	if len(ids) == 0 {
		why := p.Abstained
		if why == "" {
			why = "nothing was found"
		}
		return v1alpha1.Candidate{}, fmt.Errorf("there is no candidate: %s", why)
	}
	return v1alpha1.Candidate{}, fmt.Errorf("no candidate %q: there are %s", id, strings.Join(ids, ", "))
}

func (a *app) write(res *remediate.Result, f *planFlags) error {
	c, err := pick(&res.Plan, f.candidate)
	if err != nil {
		return err
	}
	files, err := res.Write(c.ID, f.force)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "✔ wrote %s (candidate %s)\n", strings.Join(files, ", "), c.ID)
	return nil
}

func serious(fs []v1alpha1.Finding) bool {
	for _, f := range fs {
		if f.Severity.Rank() >= v1alpha1.SeverityWarning.Rank() {
			return true
		}
	}
	return false
}

// chartCache is where pulled charts are kept; empty when there is no such place.
func chartCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "remediate", "charts")
}
