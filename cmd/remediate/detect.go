package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/internal/report"
	"github.com/remediate-dev/remediate/remediate"
)

// detectFlags are the flags of `remediate detect`.
type detectFlags struct {
	opts       remediate.DetectOptions
	external   []string
	yes        bool
	output     string
	outputFile string
}

var detectOutputs = []string{"text", "json"}

func newDetect(a *app) *cobra.Command {
	f := &detectFlags{}
	cmd := &cobra.Command{
		Use:   "detect",
		Short: "Ask the probes what pods experience, and say which failures that confirms",
		Long: "Uses the probes that the cluster has, or asks and makes some in a namespace of their own, which is removed at the end,\n" +
			"on an error and on Ctrl-C too. Listens until a failure is confirmed or --for is over, and prints a matrix of who reaches\n" +
			"whom and as whom. What the probes say travels through the API server and the kubelets: neither the pod network nor\n" +
			"Services nor cluster DNS need to work.\n\n" +
			"Exit codes: 0 nothing is confirmed, 1 an error or nothing could be checked, 2 something is confirmed.",
		Example: "  remediate detect\n" +
			"  remediate detect --context prod --yes --for 1m\n" +
			"  remediate detect --without-probes\n" +
			"  remediate detect --without-probes --snapshot ./snapshot -o json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.detect(cmd, f) },
	}
	fl, o := cmd.Flags(), &f.opts
	fl.DurationVar(&o.For, "for", remediate.DefaultListen, "how long the probes are listened to at most, from when the first is heard")
	fl.BoolVar(&o.Probes.None, "without-probes", false, "passive evidence only: configuration, Flux' messages, probe reports of a snapshot")
	fl.BoolVarP(&f.yes, "yes", "y", false, "make the probes without asking; needed where there is no terminal")
	fl.BoolVar(&o.Probes.Keep, "keep", false, "leave the probes that were made for this run")
	fl.StringVar(&o.Probes.Image, "image", deploy.DefaultImage, "image of the probes that are made")
	fl.StringVar(&o.Probes.Namespace, "probe-namespace", "", "where to look for probes, and to make them (default: everywhere, and a new one)")
	fl.BoolVar(&o.Probes.Host, "host-probes", false, "make twins of the probes in the nodes' own network too")
	fl.DurationVar(&o.Probes.StartWithin, "start-within", time.Minute, "how long the probes may take to start")
	fl.StringArrayVar(&f.external, "external", nil, "ADDRESS:PORT outside of the cluster that the probes try too (repeatable; default: none)")
	fl.StringVar(&o.Snapshot, "snapshot", "", "with --without-probes: folder or archive that stands in for the cluster")
	fl.StringVar(&o.Repo, "repo", "", "directory in a Git checkout that renders the configuration (default: the cluster's own cilium-config)")
	fl.StringVar(&o.Release, "release", "", "with --repo: NAMESPACE/NAME of the HelmRelease, where there are several")
	fl.StringVar(&o.ClusterPath, "cluster-path", "", "with --repo: path of the cluster in it, where there are several")
	fl.StringVar(&o.Chart, "chart", "", "with --repo: folder or archive of the chart")
	fl.StringVarP(&f.output, "output", "o", "text", strings.Join(detectOutputs, ", "))
	fl.StringVar(&f.outputFile, "output-file", "", "write the result to this file instead of stdout")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(detectOutputs, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *app) detect(cmd *cobra.Command, f *detectFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if err := a.patience(f, cmd.Flags().Changed); err != nil {
		return err
	}
	if err := a.onlyCluster(&f.opts.Options, cmd.Flags().Changed("context")); err != nil {
		return err
	}
	if f.opts.Repo != "" {
		f.opts.CacheDir = chartCache()
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
	defer cancel()
	t := newTalk(a, f.yes)
	f.opts.Progress, f.opts.Status, f.opts.Ask, f.opts.Abandon = t.say, t.status, t.asker(), nextSignal
	out, closeOut, err := a.output(f.outputFile)
	if err != nil {
		return err
	}
	d, err := remediate.Detect(ctx, f.opts)
	t.clear()
	err = a.whyEnded(ctx, err)
	if d == nil {
		return closeOut(err)
	}
	d.Next = a.nextStep(d, &f.opts.Options)
	if printed := closeOut(a.printDetect(out, d, f)); printed != nil || err != nil {
		return errors.Join(err, printed)
	}
	if d.Confirmed() {
		return exitCode(2)
	}
	return nil
}

// besides is what a run takes besides listening and waiting for the probes to start:
// reading the facts, hearing the first probe, removing what it made.
const besides = 4 * time.Minute

// patience fits --timeout to --for: a timeout that nobody set grows with it, and one
// that was set must leave room.
func (a *app) patience(f *detectFlags, set func(flag string) bool) error {
	switch {
	case f.opts.Probes.None:
	case !set("timeout"):
		a.timeout = max(a.timeout, f.opts.For+f.opts.Probes.StartWithin+besides)
	case set("for") && f.opts.For > a.timeout:
		return fmt.Errorf("--for %s does not fit into --timeout %s: give a longer --timeout, or none", f.opts.For, a.timeout)
	}
	return nil
}

// onlyCluster takes the cluster that the flags and the kubeconfig name; there is
// nothing to detect on without one, but for a snapshot.
func (a *app) onlyCluster(opts *remediate.Options, named bool) error {
	if opts.Snapshot != "" {
		if named && *a.kube.Context != "" {
			return errors.New("--snapshot and --context contradict each other: give the one that the facts should come from")
		}
		return nil
	}
	loader := a.kube.ToRawKubeConfigLoader()
	cfg, err := loader.ClientConfig()
	raw, rawErr := loader.RawConfig()
	switch {
	case clientcmd.IsEmptyConfig(err), err == nil && rawErr == nil && len(raw.Clusters) == 0 && cfg.Host == noServer:
		return nil // Detect says what is missing
	case err != nil:
		return fmt.Errorf("kubeconfig: %w", err)
	}
	opts.Cluster, opts.ClusterName = cfg, *a.kube.Context
	if opts.ClusterName == "" {
		opts.ClusterName = raw.CurrentContext
	}
	return nil
}

// whyEnded tells an interrupt and the end of --timeout from other errors.
func (a *app) whyEnded(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case err.Error() == context.DeadlineExceeded.Error() && ctx.Err() != nil:
		return fmt.Errorf("not done within --timeout %s: give a longer one", a.timeout)
	case err.Error() == context.Canceled.Error() && ctx.Err() != nil:
		return errors.New("interrupted")
	case errors.Is(err, context.DeadlineExceeded) && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("not done within --timeout %s: %w", a.timeout, err)
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return fmt.Errorf("interrupted: %w", err)
	}
	return err
}

// check holds flags against each other before anything is read.
func (f *detectFlags) check() error {
	known := false
	for _, o := range detectOutputs {
		known = known || o == f.output
	}
	p := &f.opts.Probes
	switch {
	case !known:
		return badOutput(f.output, detectOutputs...)
	case p.None && (p.Keep || p.Host || f.yes || len(f.external) > 0):
		return errors.New("--without-probes goes with neither --yes, --keep, --host-probes nor --external")
	case f.opts.For <= 0:
		return errors.New("--for must be longer than 0")
	}
	for _, e := range f.external {
		to, err := netip.ParseAddrPort(e)
		if err != nil {
			return fmt.Errorf("--external %q is no ADDRESS:PORT (an IPv6 address stands in brackets): %w", e, err)
		}
		p.External = append(p.External, to)
	}
	return nil
}

// nextStep is the command that goes on from what was found: the plan, where it has an
// answer to it, and else the catalogue's page.
func (a *app) nextStep(d *report.Detection, opts *remediate.Options) string {
	causes := d.Causes()
	switch {
	case len(causes) == 0:
		return ""
	case !d.Plans:
		return "remediate explain " + causes[0].Signature
	}
	words := []string{"remediate plan"}
	flag := func(name, value string) {
		if value != "" {
			words = append(words, "--"+name+" "+shellWord(value))
		}
	}
	flag("repo", opts.Repo)
	flag("release", opts.Release)
	flag("cluster-path", opts.ClusterPath)
	flag("chart", opts.Chart)
	if opts.Snapshot != "" {
		flag("snapshot", opts.Snapshot)
	} else {
		flag("kubeconfig", *a.kube.KubeConfig)
		flag("context", opts.ClusterName)
	}
	return strings.Join(words, " ")
}

// shellWord is s as one word for a POSIX shell.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+=,", r)
	}
	if !strings.HasPrefix(s, "-") && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func (a *app) printDetect(w io.Writer, d *report.Detection, f *detectFlags) error {
	var b bytes.Buffer
	var err error
	if f.output == "json" {
		err = report.DetectJSON(&b, d)
	} else {
		err = report.DetectText(&b, d, report.TextOptions{Color: a.colour() && f.outputFile == "", Width: a.width()})
	}
	if err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

// together is how long the signals of one interrupt may take: wrappers such as
// timeout(1) send it to the process and to its group.
const together = 500 * time.Millisecond

// nextSignal is closed by the next interrupt or SIGTERM.
func nextSignal() <-chan struct{} {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	begun := time.Now()
	go func() {
		for range signals {
			if time.Since(begun) > together {
				close(done)
				return
			}
		}
	}()
	return done
}
