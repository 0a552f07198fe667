package remediate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/remediate-dev/remediate/detect/deploy"
)

// probing is the part of a detection that has to do with probes.
type probing struct {
	*detection
	client *deploy.Client
	at     deploy.Installation
	// made: this run made them.
	made     bool
	options  deploy.Options
	watch    *deploy.Watch
	listener *listener
	progress deploy.Progress
	// warnings are the events beside the probes.
	warnings []string
}

// probe finds the cluster's probes or makes them, listens, concludes, and removes
// what it made.
func (d *detection) probe(ctx context.Context) (err error) {
	client, err := deploy.New(d.opts.Cluster)
	if err != nil {
		return err
	}
	p := &probing{detection: d, client: client}
	if err := p.find(ctx); err != nil {
		return err
	}
	defer func() {
		if removal := p.remove(ctx); removal != nil {
			err = errors.Join(err, removal)
		}
	}()
	if p.at.Namespace == "" {
		if err := p.create(ctx); err != nil {
			return err
		}
	}
	return p.listen(ctx)
}

// find looks for installed probes and for what earlier runs left.
func (p *probing) find(ctx context.Context) error {
	found, err := p.client.Find(ctx, p.opts.Probes.Namespace)
	if err != nil {
		return err
	}
	for _, i := range found {
		switch {
		case i.Stays() && p.at.Namespace == "":
			p.at = i
		case i.Stays():
			p.opts.progress("namespace %s has probes too; --probe-namespace %s would take those", i.Namespace, i.Namespace)
		default:
			if err := p.leftover(ctx, i); err != nil {
				return err
			}
		}
	}
	if p.at.Namespace == "" {
		return nil
	}
	if p.at.Kept {
		p.opts.progress("using the probes in %s; to remove them: %s", p.heldBy(p.at), deploy.Command(p.at.Namespace, p.at.Host))
	} else {
		p.opts.progress("using the probes that are installed in namespace %s", p.at.Namespace)
	}
	p.options = deploy.Options{Namespace: p.at.Namespace, Host: p.at.Host, Image: p.at.Image,
		Run: p.at.Run, Started: p.at.Started, By: p.at.By, Keep: p.at.Kept}
	return p.client.CheckRights(ctx, p.at.Namespace, false)
}

// heldBy names a namespace and the run that made it.
func (p *probing) heldBy(i deploy.Installation) string {
	text := "namespace " + i.Namespace
	if i.By != "" {
		text += ", begun by " + i.By
	}
	if !i.Started.IsZero() {
		text += fmt.Sprintf(" %s ago", p.opts.Now().Sub(i.Started).Round(time.Second))
	}
	return text
}

// mayRun is how long another run is taken to be under way still.
const mayRun = 10 * time.Minute

// leftover offers to remove what an earlier run left. This run goes on without.
func (p *probing) leftover(ctx context.Context, i deploy.Installation) error {
	text := "an earlier run left probes in " + p.heldBy(i)
	if p.opts.Now().Sub(i.Started) < mayRun {
		text = "another run, which may be under way, has probes in " + p.heldBy(i)
	}
	ok := false
	if p.opts.Ask != nil {
		var err error
		if ok, err = p.opts.Ask(ctx, Question{Text: text + ". Remove it?", Removes: true, Started: i.Started}); err != nil {
			return err
		}
	}
	if !ok {
		p.opts.progress("%s: left alone; to remove it: %s", text, deploy.Command(i.Namespace, i.Host))
		return nil
	}
	p.opts.progress("removing namespace %s", i.Namespace)
	if err := p.client.Remove(ctx, i.Namespace, i.Run, removeWithin); err != nil {
		p.opts.progress("%v: going on", err)
	}
	return ctx.Err()
}

// create makes probes for this run, after asking.
func (p *probing) create(ctx context.Context) error {
	o := deploy.Options{Namespace: p.opts.Probes.Namespace, Image: p.opts.Probes.Image, Host: p.opts.Probes.Host,
		Run: newRun(), Started: p.opts.Now(), By: p.opts.Probes.By, Keep: p.opts.Probes.Keep}
	if o.By == "" {
		o.By = runsBy()
	}
	if o.Namespace == "" {
		o.Namespace = deploy.Name + "-" + o.Run
	}
	if err := p.client.CheckRights(ctx, o.Namespace, true); err != nil {
		return err
	}
	if p.opts.Ask == nil {
		return withHint(errors.New("no probes are installed, and nobody can be asked whether to make some"), "add --yes to make them for this run, or --without-probes")
	}
	nodes := len(p.in.Snapshot.Nodes)
	ok, err := p.opts.Ask(ctx, Question{Text: fmt.Sprintf("No probes are installed. Create them on %d nodes, in the new namespace %s%s?", nodes, o.Namespace, p.afterwards())})
	switch {
	case err != nil:
		return err
	case !ok:
		return withHint(fmt.Errorf("%w: no probes were to be made", ErrNothingChecked), "without probes there is passive evidence: --without-probes")
	}
	p.options, p.made, p.at = o, true, deploy.Installation{Namespace: o.Namespace, Run: o.Run, Host: o.Host}
	p.opts.progress("making the probes in namespace %s", o.Namespace)
	err = p.client.Create(ctx, o)
	// The namespace comes first, and without it there is nothing to remove.
	p.made = !errors.Is(err, deploy.ErrTaken) || o.Host
	return err
}

func (p *probing) afterwards() string {
	if p.opts.Probes.Keep {
		return ", and keep them"
	}
	return ", and remove them afterwards"
}

// newRun is the id of a run: 8 hexadecimal digits.
func newRun() string {
	b := make([]byte, 4)
	rand.Read(b)
	return hex.EncodeToString(b)
}
