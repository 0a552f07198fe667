package main

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/internal/report"
)

type versionDoc struct {
	APIVersion     string   `json:"apiVersion"`
	Kind           string   `json:"kind"`
	Version        string   `json:"version"`
	Commit         string   `json:"commit"`
	CiliumVersions []string `json:"ciliumVersions"`
}

func newVersion(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print version, commit, and the Cilium versions that the model was checked against",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			doc := versionDoc{APIVersion: v1alpha1.APIVersion, Kind: "Version", Version: version, Commit: commit(), CiliumVersions: cilium.CheckedVersions()}
			switch output {
			case "json":
				return report.JSON(a.stdout, doc)
			case "text":
				fmt.Fprintf(a.stdout, "remediate %s (commit %s)\nchecked against Cilium %s\n", doc.Version, doc.Commit, strings.Join(doc.CiliumVersions, ", "))
				return nil
			}
			return badOutput(output, "text", "json")
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

// commit as the Go toolchain recorded it.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "unknown"
}

func badOutput(got string, want ...string) error {
	return fmt.Errorf("unknown output %q: use one of %s", got, strings.Join(want, ", "))
}
