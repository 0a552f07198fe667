package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/internal/report"
)

// prFlags are the flags of `remediate plan` that say what becomes of the plan.
type prFlags struct {
	open, pushOnly bool
	bundle         string

	forge, forgeURL, gitURL, baseBranch, cluster, config string

	gitSecret, forgeSecret, signingSecret, proxySecret string
}

var forgeKinds = []string{forge.GitHub, forge.GitLab, forge.Gitea}

func (f *prFlags) register(cmd *cobra.Command, fl *pflag.FlagSet) {
	const secret = "; a Secret: NAMESPACE/NAME in the cluster, a FILE with its manifest, or a folder with its keys as files"
	fl.BoolVar(&f.open, "open-pr", false, "open the pull request for the first candidate, or --candidate, or bring the one that is open up to date")
	fl.BoolVar(&f.pushOnly, "push-only", false, "push the branch and open no pull request")
	fl.StringVar(&f.bundle, "bundle", "", "write the change as a patch for git am, and the pull request's text, into this folder; nothing else is touched")
	fl.StringVar(&f.forge, "forge", "", "what the server is, where its address does not tell: "+strings.Join(forgeKinds, ", ")+" (Forgejo is gitea)")
	fl.StringVar(&f.forgeURL, "forge-url", "", "https address of the forge or of its API, where it is not the repository's server")
	fl.StringVar(&f.gitURL, "git-url", "", "address of the repository (default: that of the GitRepository which Flux applies the release from, else the checkout's remote origin)")
	fl.StringVar(&f.baseBranch, "base-branch", "", "branch to change (default: spec.ref.branch of the GitRepository, else the server's default branch)")
	fl.StringVar(&f.cluster, "cluster", "", "name of the cluster in branches (default: from the cluster's path in the repository)")
	fl.StringVar(&f.gitSecret, "git-secret", "", "credentials for Git with the keys that Flux's GitRepository takes"+secret)
	fl.StringVar(&f.forgeSecret, "forge-secret", "", "credentials for the forge's API, where those of Git do not serve: token"+secret)
	fl.StringVar(&f.signingSecret, "signing-secret", "", "key to sign commits with: git.asc and passphrase, or identity and password"+secret)
	fl.StringVar(&f.proxySecret, "proxy-secret", "", "proxy to Git and the forge: address, username, password"+secret)
	fl.StringVar(&f.config, "pr-config", "", "YAML file that says how pull requests look and how many there may be: commit, labels, reviewers, draft, limits")
	_ = cmd.RegisterFlagCompletionFunc("forge", cobra.FixedCompletions(forgeKinds, cobra.ShellCompDirectiveNoFileComp))
}

// delivers: something is done with the plan besides printing it.
func (f *prFlags) delivers() bool { return f.open || f.pushOnly || f.bundle != "" }

// check holds the flags against each other and the rest of the command's.
func (f *prFlags) check(write, offline bool) error {
	var modes []string
	for _, m := range []struct {
		flag string
		set  bool
	}{{"--open-pr", f.open}, {"--push-only", f.pushOnly}, {"--bundle", f.bundle != ""}, {"--write", write}} {
		if m.set {
			modes = append(modes, m.flag)
		}
	}
	if len(modes) > 1 {
		return fmt.Errorf("%s contradict each other: give one", strings.Join(modes, " and "))
	}
	if offline && (f.open || f.pushOnly) {
		return fmt.Errorf("--offline and %s contradict each other: --bundle DIR writes the pull request to files", modes[0])
	}
	if err := f.checkSpare(); err != nil {
		return err
	}
	known := f.forge == ""
	for _, k := range forgeKinds {
		known = known || k == f.forge
	}
	if !known {
		return fmt.Errorf("--forge %q is not known: there are %s", f.forge, strings.Join(forgeKinds, ", "))
	}
	return f.checkNames()
}

// checkSpare refuses flags that would be without effect.
func (f *prFlags) checkSpare() error {
	for _, s := range []struct {
		flag, value string
		with        string
		ok          bool
	}{
		{"--forge", f.forge, "--open-pr", f.open},
		{"--forge-url", f.forgeURL, "--open-pr", f.open},
		{"--forge-secret", f.forgeSecret, "--open-pr", f.open},
		{"--git-url", f.gitURL, "--open-pr or --push-only", f.open || f.pushOnly},
		{"--git-secret", f.gitSecret, "--open-pr or --push-only", f.open || f.pushOnly},
		{"--proxy-secret", f.proxySecret, "--open-pr or --push-only", f.open || f.pushOnly},
		{"--signing-secret", f.signingSecret, "--open-pr or --push-only", f.open || f.pushOnly},
		{"--base-branch", f.baseBranch, "--open-pr or --push-only", f.open || f.pushOnly},
		{"--cluster", f.cluster, "--open-pr, --push-only or --bundle", f.delivers()},
		{"--pr-config", f.config, "--open-pr, --push-only or --bundle", f.delivers()},
	} {
		if s.value != "" && !s.ok {
			return fmt.Errorf("%s goes with %s", s.flag, s.with)
		}
	}
	return nil
}

// clusterName is what may stand between the slashes of a branch's name.
var clusterName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func (f *prFlags) checkNames() error {
	bad := strings.Contains(f.cluster, "..") || strings.HasSuffix(f.cluster, ".") || strings.HasSuffix(f.cluster, ".lock")
	if f.cluster != "" && (bad || !clusterName.MatchString(f.cluster)) {
		return fmt.Errorf("--cluster %q cannot stand in a branch's name: letters, digits and hyphens will do, 63 at most", f.cluster)
	}
	return nil
}

// spec reads --pr-config. Every key must be known.
func (f *prFlags) spec() (v1alpha1.PullRequestSpec, error) {
	var s v1alpha1.PullRequestSpec
	if f.config == "" {
		return s, nil
	}
	b, err := readBounded(f.config)
	if err != nil {
		return s, fmt.Errorf("--pr-config: %w", err)
	}
	if err := yaml.UnmarshalStrict(b, &s); err != nil {
		return s, fmt.Errorf("--pr-config %s: %s", f.config, strings.TrimPrefix(report.Line(err.Error()), "error unmarshaling JSON: while decoding JSON: "))
	}
	if err := checkSpec(s); err != nil {
		return s, fmt.Errorf("--pr-config %s: %w", f.config, err)
	}
	if key := s.Commit.SigningKey; key != nil && f.signingSecret == "" && f.bundle == "" {
		return s, fmt.Errorf("--pr-config %s: commit.signingKey names the Secret %q without its namespace: give it as --signing-secret NAMESPACE/NAME", f.config, key.SecretRef.Name)
	}
	return s, nil
}

func checkSpec(s v1alpha1.PullRequestSpec) error {
	switch s.Draft {
	case "", "auto", "always", "never":
	default:
		return fmt.Errorf("draft is %q: it is auto, always or never", s.Draft)
	}
	switch s.Commit.Method {
	case "", "Push", "API":
	default:
		return fmt.Errorf("commit.method is %q: it is Push or API", s.Commit.Method)
	}
	for name, n := range map[string]*int{"maxOpen": s.Limits.MaxOpen, "maxPerDay": s.Limits.MaxPerDay} {
		if n != nil && *n < 0 {
			return fmt.Errorf("limits.%s is %d: it cannot be below 0, which is no limit", name, *n)
		}
	}
	if n := s.Limits.MaxNotReadyPercent; n != nil && (*n < 0 || *n > 100) {
		return fmt.Errorf("limits.maxNotReadyPercent is %d: it is a percentage, 0 to 100", *n)
	}
	return nil
}

var errTooLarge = errors.New("it is larger than 2 MiB")

// readBounded reads a small file that a person named.
func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return bounded(f, name)
}
