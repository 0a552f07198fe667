package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/remediate-dev/remediate/detect/observe"
)

func newSnapshot(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "snapshot DIR",
		Short: "Write the cluster facts that a plan needs as plain Kubernetes YAML, without Secrets",
		Long: "Reads the cluster of the current kubeconfig context (or --context) and writes what `remediate plan --snapshot DIR` needs.\n" +
			"Never a Secret; tokens, keys and certificates are removed from ConfigMaps and annotations. DIR must be empty or absent.",
		Example: "  remediate snapshot ./snapshot\n  remediate plan --snapshot ./snapshot",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
			defer cancel()
			cfg, err := a.kube.ToRESTConfig()
			if err != nil {
				return fmt.Errorf("kubeconfig: %w", err)
			}
			written, err := observe.Write(ctx, cfg, args[0], observe.ClusterOptions{Origin: *a.kube.Context})
			if err != nil {
				return err
			}
			for _, u := range written.Unreadable {
				fmt.Fprintf(a.stderr, "► not read: %s\n", u)
			}
			fmt.Fprintf(a.stderr, "✔ wrote %d objects to %s\n", written.Objects, args[0])
			return nil
		},
	}
}
