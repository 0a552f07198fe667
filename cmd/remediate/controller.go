package main

import (
	"context"
	"fmt"

	"github.com/fluxcd/pkg/runtime/logger"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/remediate-dev/remediate/remediate/controller"
)

func newController(a *app) *cobra.Command {
	var opts controller.Options
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Run the loop in the cluster: confirm, plan, propose, follow, verify",
		Long: "controller looks after the RemediationPolicies of a cluster: it listens to the probes that they name, makes\n" +
			"a Remediation for each cause that they confirm, plans, opens a pull request where the policy's mode is\n" +
			"Propose, follows it to every agent, and says whether it helped. It writes its own kinds, events and the\n" +
			"probes' members, and nothing else.",
		Example: "  remediate controller --enable-leader-election --storage /data\n" +
			"  remediate controller --api-server https://localhost:7445",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.control(cmd.Context(), opts) },
	}
	opts.BindFlags(cmd.Flags())
	return cmd
}

// control runs the manager until ctx ends.
func (a *app) control(ctx context.Context, opts controller.Options) error {
	logger.SetLogger(logger.NewLogger(opts.Log))
	cfg, err := a.kube.ToRESTConfig()
	if err != nil || cfg.Host == noServer {
		if cfg, err = rest.InClusterConfig(); err != nil {
			return hinted(fmt.Sprintf("there is no cluster to run in: %v", err), "run it in a pod, or give --kubeconfig")
		}
	}
	log := ctrl.Log.WithName("setup")
	way := controller.Way{Given: opts.APIServer, Progress: func(format string, args ...any) { log.Info(fmt.Sprintf(format, args...)) }}
	if cfg, err = way.Reach(ctx, cfg); err != nil {
		return err
	}
	cfg.UserAgent, cfg.QPS, cfg.Burst = userAgent(), opts.Client.QPS, opts.Client.Burst
	mgr, err := controller.New(cfg, opts, userAgent(), controller.Parts{})
	if err != nil {
		return err
	}
	return mgr.Start(ctx)
}
