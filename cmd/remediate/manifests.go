package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/remediate-dev/remediate/detect/deploy"
)

// newManifests writes the Kustomize bases of config/probe, which a test holds to be
// what deploy builds.
func newManifests() *cobra.Command {
	return &cobra.Command{
		Use:    "manifests DIR",
		Short:  "Write the generated Kustomize bases of the probes into DIR",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := deploy.Manifests()
			if err != nil {
				return err
			}
			for name, text := range files {
				file := filepath.Join(args[0], filepath.FromSlash(name))
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					return fmt.Errorf("write manifest: %w", err)
				}
				if err := os.WriteFile(file, text, 0o644); err != nil {
					return fmt.Errorf("write manifest: %w", err)
				}
			}
			return nil
		},
	}
}
