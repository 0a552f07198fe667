package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/detect/probe"
)

// pollKey is how often the key's file is read again: a Secret that is rolled
// reaches nodes within about a minute of each other.
const pollKey = 10 * time.Second

// run answers, and probes if the target is the open one or the twin in the node's own
// network, until the context ends or one of the two cannot go on.
func run(ctx context.Context, o options, stdout, stderr io.Writer) error {
	key, err := probe.ReadKey(o.key)
	if err != nil {
		return fmt.Errorf("%w: is the Secret of the probes mounted?", err)
	}
	keys, err := probe.NewKeyring(key)
	if err != nil {
		return err
	}
	if o.self.MTU == 0 {
		o.self.MTU = deviceMTU(o.self.IPs)
	}
	reflector := o.reflector(keys, o.target, o.port, o.httpPort)
	tasks := []func(context.Context) error{reflector.Run, func(ctx context.Context) error { followKey(ctx, o.key, keys, stderr); return nil }}
	if o.target == v1alpha1.TargetGuarded {
		// Policy admits everybody there, so that it is an open target.
		tasks = append(tasks, o.reflector(keys, v1alpha1.TargetOpen, o.backendPort, o.backendHTTPPort).Run)
	} else {
		starvation := &probe.Starvation{}
		agent := &probe.Agent{
			Self:    o.self,
			Prober:  &probe.Prober{Keys: keys, Starvation: starvation},
			Members: &probe.Members{Dir: o.members},
			Out:     stdout,
			Delay:   starvation.Worst,
			Heard:   reflector.Heard,
		}
		reflector.Report = agent.Report
		tasks = append(tasks, agent.Run, func(ctx context.Context) error { starvation.Run(ctx); return nil })
	}
	return together(ctx, tasks)
}

func (o *options) reflector(keys *probe.Keyring, target string, port, httpPort uint) *probe.Reflector {
	return &probe.Reflector{
		Identity: probe.Identity{Node: o.self.Node, Namespace: o.self.Namespace, Pod: o.self.Pod, Target: target},
		Keys:     keys, Addrs: o.self.IPs, Port: uint16(port), HTTPPort: uint16(httpPort),
	}
}

// together runs tasks until the context ends or one fails, and then ends all.
func together(ctx context.Context, tasks []func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(tasks))
	var wg sync.WaitGroup
	for i, task := range tasks {
		wg.Go(func() {
			defer cancel()
			errs[i] = task(ctx)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// followKey takes a new key into use when its file changes. A file that cannot be
// read is said once, and the old key stays in use.
func followKey(ctx context.Context, path string, keys *probe.Keyring, stderr io.Writer) {
	t := time.NewTicker(pollKey)
	defer t.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		key, err := probe.ReadKey(path)
		if err == nil {
			err = keys.Roll(key)
		}
		switch {
		case err == nil:
			told = ""
		case err.Error() != told:
			told = err.Error()
			fmt.Fprintf(stderr, "remediate-probe: the key in use stays in use: %v\n", err)
		}
	}
}
