package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/remediate"
)

func newDemo(a *app) *cobra.Command {
	var incident, dir string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "The plan for the incident bundled in the binary",
		Long: "Lays the bundled incident out as a Git repository with the history of what was tried, plans on it with the bundled\n" +
			"snapshot of its cluster, prints the plan, and writes it as a page (plan.html) and as a pull request's text (plan.md).",
		Example: "  remediate demo\n  remediate demo --incident talos-ipv6-healthy",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
			defer cancel()
			return a.demo(ctx, incident, dir)
		},
	}
	cmd.Flags().StringVar(&incident, "incident", examples.Default, strings.Join(examples.Names(), " or "))
	cmd.Flags().StringVar(&dir, "output-dir", "out", "where plan.html and plan.md go; created when absent")
	return cmd
}

func (a *app) demo(ctx context.Context, incident, dir string) error {
	tmp, err := os.MkdirTemp("", "remediate-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	defer os.RemoveAll(tmp)
	opts := remediate.Options{CacheDir: chartCache(), Progress: func(format string, args ...any) { fmt.Fprintf(a.stderr, "► "+format+"\n", args...) }}
	if opts.Repo, opts.Snapshot, err = examples.Lay(incident, filepath.Join(tmp, "incident")); err != nil {
		return err
	}
	chart, ok, err := examples.Chart(tmp)
	if err != nil {
		return err
	}
	if ok {
		opts.Chart = chart
	}
	res, err := remediate.Plan(ctx, opts)
	if err != nil {
		return err
	}
	if err := a.print(a.stdout, &res.Plan, &planFlags{output: "text"}); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make --output-dir: %w", err)
	}
	for _, o := range []struct{ format, file string }{{"html", "plan.html"}, {"markdown", "plan.md"}} {
		if err := a.writePlan(res, o.format, filepath.Join(dir, o.file)); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.stderr, "✔ wrote %s and %s\n", filepath.Join(dir, "plan.html"), filepath.Join(dir, "plan.md"))
	return nil
}

func (a *app) writePlan(res *remediate.Result, format, file string) error {
	w, closeOut, err := a.output(file)
	if err != nil {
		return err
	}
	return closeOut(a.print(w, &res.Plan, &planFlags{output: format, outputFile: file}))
}
