package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	gogit "github.com/go-git/go-git/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/forge/dial"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/remediate"
)

// target is what a policy comes to: the release, where changes of it go, and the way
// there.
type target struct {
	release v1alpha1.ReleaseStatus
	source  v1alpha1.SourceStatus
	// object is the HelmRelease.
	object  *helmv2.HelmRelease
	remote  *repo.Remote
	forge   forge.Forge
	signer  gogit.Signer
	cluster string
	// redact hides credentials.
	redact func(string) string
}

// name is NAMESPACE/NAME of the HelmRelease.
func (t *target) name() string { return t.release.Namespace + "/" + t.release.Name }

// resolver finds a policy's target.
type resolver struct {
	// Client reads what is cached, Direct asks the API server: Secrets, by name.
	Client client.Client
	Direct client.Reader
	// SameNamespace refuses references to other namespaces.
	SameNamespace bool
	UserAgent     string
	// Dial speaks to a forge; nil is [dial.New].
	Dial func(forge.Place, *access.Access) (forge.Forge, error)
}

// secrets are those that a target is reached with.
type secrets struct{ git, forge, proxy map[string][]byte }

// resolve finds the target. Its errors are faults: stalled where the policy, or what
// it names, has to change.
func (r *resolver) resolve(ctx context.Context, p *v1alpha1.RemediationPolicy) (*target, error) {
	t := &target{redact: func(s string) string { return s }}
	for _, do := range []func(context.Context, *v1alpha1.RemediationPolicy, *target) error{r.findRelease, r.findSource} {
		if err := do(ctx, p, t); err != nil {
			return t, err
		}
	}
	return t, nil
}

// allowed refuses a reference into another namespace where the operator does.
func (r *resolver) allowed(p *v1alpha1.RemediationPolicy, kind, namespace, name string) error {
	if !r.SameNamespace || namespace == p.Namespace {
		return nil
	}
	return stalled(v1alpha1.AccessDeniedReason, "%s %s/%s is in another namespace than the policy, and the controller runs with --no-cross-namespace-refs: put the policy into namespace %s", kind, namespace, name, namespace)
}

func (r *resolver) findRelease(ctx context.Context, p *v1alpha1.RemediationPolicy, t *target) error {
	ref := p.GetRelease()
	t.release = v1alpha1.ReleaseStatus{Name: ref.Name, Namespace: ref.Namespace}
	if err := r.allowed(p, "HelmRelease", ref.Namespace, ref.Name); err != nil {
		return err
	}
	t.object = &helmv2.HelmRelease{}
	if err := r.get(ctx, "HelmRelease", ref.Namespace, ref.Name, t.object, "correct spec.releaseRef, or install Cilium with a HelmRelease of that name"); err != nil {
		return err
	}
	if latest := t.object.Status.History.Latest(); latest != nil {
		t.release.Version = latest.ChartVersion
	}
	if t.object.Spec.Suspend {
		t.release.Suspended = "HelmRelease " + t.name()
	}
	return nil
}

// get reads a cached object. One that is not there stalls; its arrival is watched.
func (r *resolver) get(ctx context.Context, kind, namespace, name string, into client.Object, hint string) error {
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, into)
	switch {
	case apierrors.IsNotFound(err):
		return stalled(v1alpha1.NotFoundReason, "there is no %s %s/%s: %s", kind, namespace, name, hint)
	case err != nil:
		return failing(v1alpha1.ClusterReason, fmt.Errorf("read %s %s/%s: %w", kind, namespace, name, err))
	}
	return nil
}

// findSource fills in where changes go: spec.git, spec.sourceRef, or the source of
// the Kustomization that applies the HelmRelease.
func (r *resolver) findSource(ctx context.Context, p *v1alpha1.RemediationPolicy, t *target) error {
	origin, err := r.origin(ctx, p, t)
	if err != nil {
		return err
	}
	if b := p.Spec.Forge; b != nil && b.Branch != "" {
		origin.branch = b.Branch
	}
	if p.Spec.Path != "" {
		origin.path = p.Spec.Path
	}
	t.source = v1alpha1.SourceStatus{Name: origin.name, URL: repo.Redact(origin.url), Branch: origin.branch, Path: origin.path}
	s, err := r.readSecrets(ctx, p, origin)
	if err != nil {
		return err
	}
	return r.reach(ctx, p, t, origin, s)
}

// origin is a repository with the names of its Secrets, which are in namespace.
type origin struct {
	name, url, branch, path  string
	namespace, secret, proxy string
}

func (r *resolver) origin(ctx context.Context, p *v1alpha1.RemediationPolicy, t *target) (origin, error) {
	applied, err := r.applied(ctx, t)
	if err != nil {
		return origin{}, err
	}
	if g := p.Spec.Git; g != nil {
		o := origin{url: g.URL, branch: g.Branch, namespace: p.Namespace, path: applied.path}
		if g.SecretRef != nil {
			o.secret = g.SecretRef.Name
		}
		return o, nil
	}
	ref, given := p.GetSource()
	if !given {
		if ref, err = applied.source(t); err != nil {
			return origin{}, err
		}
	}
	if err := r.allowed(p, "GitRepository", ref.Namespace, ref.Name); err != nil {
		return origin{}, err
	}
	o := &sourcev1.GitRepository{}
	if err := r.get(ctx, "GitRepository", ref.Namespace, ref.Name, o, "correct spec.sourceRef, or give the repository as spec.git"); err != nil {
		return origin{}, err
	}
	return ofRepository(o, applied.path)
}

// ofRepository takes what a GitRepository says of its repository. One that follows a
// tag or a commit has no branch that pull requests could go to.
func ofRepository(o *sourcev1.GitRepository, path string) (origin, error) {
	out := origin{name: o.Namespace + "/" + o.Name, url: o.Spec.URL, namespace: o.Namespace, path: path}
	if s := o.Spec.SecretRef; s != nil {
		out.secret = s.Name
	}
	if s := o.Spec.ProxySecretRef; s != nil {
		out.proxy = s.Name
	}
	if ref := o.Spec.Reference; ref != nil {
		out.branch = strings.TrimPrefix(ref.Branch, "refs/heads/")
		if name, ok := strings.CutPrefix(ref.Name, "refs/heads/"); ok && out.branch == "" {
			out.branch = name
		}
		if out.branch == "" && (ref.Tag != "" || ref.SemVer != "" || ref.Commit != "" || ref.Name != "") {
			return out, stalled(v1alpha1.InvalidSpecReason, "GitRepository %s follows a tag or a commit, and a pull request needs a branch: leave spec.sourceRef out, and give the repository as spec.git with its branch", out.name)
		}
	}
	if out.branch == "" {
		out.branch = "master" // source-controller's default for spec.ref
	}
	return out, nil
}

func (r *resolver) readSecrets(ctx context.Context, p *v1alpha1.RemediationPolicy, o origin) (secrets, error) {
	var s secrets
	for _, w := range []struct {
		into            *map[string][]byte
		namespace, name string
		of              string
	}{
		{&s.git, o.namespace, o.secret, "credentials for Git"},
		{&s.proxy, o.namespace, o.proxy, "the proxy"},
		{&s.forge, p.Namespace, forgeSecret(p), "spec.forge.secretRef"},
	} {
		if w.name == "" {
			continue
		}
		data, err := r.secret(ctx, w.namespace, w.name, w.of)
		if err != nil {
			return s, err
		}
		*w.into = data
	}
	return s, nil
}

func forgeSecret(p *v1alpha1.RemediationPolicy) string {
	if f := p.Spec.Forge; f != nil && f.SecretRef != nil {
		return f.SecretRef.Name
	}
	return ""
}

// secret reads one by its name.
func (r *resolver) secret(ctx context.Context, namespace, name, of string) (map[string][]byte, error) {
	var s corev1.Secret
	err := r.Direct.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &s)
	switch {
	case apierrors.IsNotFound(err):
		return nil, stalled(v1alpha1.NotFoundReason, "there is no Secret %s/%s (%s): make it, or correct the reference", namespace, name, of)
	case apierrors.IsForbidden(err):
		return nil, stalled(v1alpha1.SecretReason, "the controller may not read Secret %s/%s (%s): give its ServiceAccount a Role that may get it by name", namespace, name, of)
	case err != nil:
		return nil, failing(v1alpha1.ClusterReason, fmt.Errorf("read Secret %s/%s: %w", namespace, name, err))
	}
	return s.Data, nil
}

// reach makes the way to Git and to the forge.
func (r *resolver) reach(ctx context.Context, p *v1alpha1.RemediationPolicy, t *target, o origin, s secrets) error {
	a, err := access.New(access.Options{URL: o.url, Git: s.git, Forge: s.forge, Proxy: s.proxy, UserAgent: r.UserAgent})
	if err != nil {
		return secretFault(err)
	}
	t.remote, t.redact = &repo.Remote{URL: o.url, Access: a}, a.Redact
	if err := r.signing(ctx, p, t); err != nil {
		return err
	}
	place, err := r.findForge(ctx, p, t, o, s)
	if err != nil {
		return err
	}
	t.cluster = p.Spec.Cluster
	if t.cluster == "" {
		t.cluster = remediate.ClusterName(t.source.Path, place.Name)
	}
	if t.source.Forge == v1alpha1.ForgePlain || p.GetMode() != v1alpha1.ModePropose {
		return nil
	}
	if home, _ := forge.Locate(o.url); s.forge == nil && place.Host != home.Host {
		return stalled(v1alpha1.SecretReason, "spec.forge.url is on %s, and the credentials for Git on %s are not sent there: give a Secret of its own as spec.forge.secretRef", place.Host, home.Host)
	}
	if token, err := a.Token(ctx); err != nil {
		return secretFault(err)
	} else if token == "" {
		return secretFault(a.NoToken())
	}
	t.forge, err = r.dial(place, a)
	return failing(v1alpha1.ForgeReason, err)
}

func (r *resolver) dial(place forge.Place, a *access.Access) (forge.Forge, error) {
	speak := r.Dial
	if speak == nil {
		speak = dial.New
	}
	f, err := speak(place, a)
	if err != nil {
		return nil, failing(v1alpha1.ForgeReason, err)
	}
	return counted{f, place.Kind}, nil
}

// findForge finds out which forge it is. In mode Observe nobody speaks to it, so
// that one which is not known does not matter.
func (r *resolver) findForge(ctx context.Context, p *v1alpha1.RemediationPolicy, t *target, o origin, s secrets) (forge.Place, error) {
	where := dial.Where{Address: o.url}
	if f := p.Spec.Forge; f != nil {
		where.Kind, where.URL = string(f.Type), f.URL
	}
	if where.Kind == string(v1alpha1.ForgePlain) {
		t.source.Forge = v1alpha1.ForgePlain
		place, _ := forge.Locate(o.url)
		return place, nil
	}
	place, err := where.Place(ctx, func(at forge.Place) (*http.Client, error) {
		if p.GetMode() != v1alpha1.ModePropose {
			return nil, errNotAsked
		}
		stranger, err := access.New(access.Options{URL: "https://" + at.Host + "/", Git: dial.Trust(s.git, s.forge), Proxy: s.proxy, UserAgent: r.UserAgent})
		if err != nil {
			return nil, err
		}
		return stranger.HTTP(), nil
	})
	t.source.Forge = v1alpha1.ForgeType(place.Kind)
	switch {
	case err == nil, p.GetMode() != v1alpha1.ModePropose:
		return place, nil
	case errors.Is(err, dial.ErrAddress):
		return place, stalled(v1alpha1.InvalidSpecReason, "spec.forge.url is %w", err)
	case forge.Is(err, forge.Unsupported), forge.Is(err, forge.Invalid):
		return place, stalled(v1alpha1.InvalidSpecReason, "%s is on no forge that pull requests can be opened at: name it in spec.forge.type, or set that to plain to push branches only: %w", t.source.URL, err)
	}
	return place, failing(v1alpha1.ForgeReason, err)
}

var errNotAsked = errors.New("nobody is asked in mode Observe")

// signing reads the key that commits are signed with.
func (r *resolver) signing(ctx context.Context, p *v1alpha1.RemediationPolicy, t *target) error {
	key := p.GetPullRequest().Commit.SigningKey
	if key == nil || p.GetMode() != v1alpha1.ModePropose {
		return nil
	}
	data, err := r.secret(ctx, p.Namespace, key.SecretRef.Name, "spec.pullRequest.commit.signingKey")
	if err != nil {
		return err
	}
	if t.signer, err = repo.SigningSecret(data).Signer(); err != nil {
		return stalled(v1alpha1.SecretReason, "Secret %s/%s (spec.pullRequest.commit.signingKey): %w", p.Namespace, key.SecretRef.Name, err)
	}
	return nil
}

// secretFault is an error of a Secret's content, or of getting a token with it.
func secretFault(err error) error {
	var transient interface{ Transient() bool }
	if errors.As(err, &transient) && transient.Transient() {
		return failing(v1alpha1.ForgeReason, err)
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		err = withHint(err, hinted.Hint())
	}
	return stalled(v1alpha1.SecretReason, "%w", err)
}

// clusterPath is a Kustomization's spec.path as the repository has it.
func clusterPath(p string) string {
	p = path.Clean(strings.TrimPrefix(p, "./"))
	if p == "." || p == "/" || slices.Contains(strings.Split(p, "/"), "..") {
		return ""
	}
	return strings.TrimPrefix(p, "/")
}
