package main

import (
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// app is what every command shares.
type app struct {
	stdout, stderr io.Writer
	kube           *genericclioptions.ConfigFlags
	noColor        bool
	timeout        time.Duration
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	kubeconfig, context, namespace := "", "", ""
	a := &app{stdout: stdout, stderr: stderr,
		kube: &genericclioptions.ConfigFlags{KubeConfig: &kubeconfig, Context: &context, Namespace: &namespace}}
	root := &cobra.Command{
		Use:   "remediate",
		Short: "Find out why Cilium drops pods' packets, and plan the change of Helm values that fixes it",
		Long: "remediate finds out why Cilium drops pods' packets on a cluster that Flux manages, plans the change of\n" +
			"Helm values that fixes it, and proves it: rendered with the real chart, checked against the agent's\n" +
			"start-up rules, and walked through a model of Cilium's packet path.",
		Example: "  remediate demo\n" +
			"  remediate plan\n" +
			"  remediate plan --snapshot ./snapshot -o markdown\n" +
			"  remediate explain native-routing-cidr-excludes-pods",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	a.kube.AddFlags(root.PersistentFlags())
	root.PersistentFlags().BoolVar(&a.noColor, "no-color", false, "print without colour, as with NO_COLOR set")
	root.PersistentFlags().DurationVar(&a.timeout, "timeout", 5*time.Minute, "how long the command may take, cluster and registry included")
	root.AddCommand(newPlan(a), newCheck(a), newDetect(a), newVerify(a), newController(a), newSnapshot(a), newExplain(a), newDemo(a), newVersion(a), newDocs(), newManifests())
	return root
}

func (a *app) terminal() bool {
	f, ok := a.stdout.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colour: on a terminal, unless NO_COLOR or --no-color says otherwise.
func (a *app) colour() bool {
	return a.terminal() && !a.noColor && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// width of the terminal, or 100 columns.
func (a *app) width() int {
	if f, ok := a.stdout.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 40 {
			return w
		}
	}
	return 100
}
