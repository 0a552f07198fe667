package render

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/registry"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/remediate-dev/remediate/gitops/source"
)

const (
	// maxIndexBytes bounds a Helm repository's index.yaml; Cilium's has 2 MB.
	maxIndexBytes = 64 << 20
	// pullTimeout bounds one request, so that an unreachable registry does not
	// hold up a plan that can do without the chart.
	pullTimeout = 30 * time.Second
)

// Pull returns the path of the chart's archive: from the cache if it is there,
// else from the Helm repository or OCI registry that the release names. It
// writes nothing outside cacheDir. Credentials are not used. The error matches
// [ErrNoChart] and says how to go on without a pull.
func Pull(ctx context.Context, c source.Chart, cacheDir string) (string, error) {
	return puller{client: &http.Client{Timeout: pullTimeout}}.pull(ctx, c, cacheDir)
}

// puller holds what tests replace.
type puller struct {
	client *http.Client
}

var safeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)

func (p puller) pull(ctx context.Context, c source.Chart, cacheDir string) (string, error) {
	if !safeName.MatchString(c.Name) {
		return "", fmt.Errorf("%w: the chart's name %q is not one", ErrNoChart, c.Name)
	}
	if file, ok := cached(cacheDir, c.Name, c.Version); ok {
		return file, nil
	}
	var version string
	var data []byte
	var err error
	switch {
	case c.Kind == "GitRepository" || c.Kind == "Bucket":
		err = fmt.Errorf("it is a directory (%s) of the %s %s", c.Path, c.Kind, c.URL)
	case c.URL == "":
		err = errors.New("the release's source is not in the repository")
	case strings.HasPrefix(c.URL, registry.OCIScheme+"://"):
		version, data, err = p.fromRegistry(ctx, c)
	default:
		version, data, err = p.fromRepository(ctx, c)
	}
	if err == nil {
		var file string
		if file, err = store(cacheDir, c.Name, version, data); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("%w %s %s: %w; get it yourself (helm pull) and give it with --chart DIR|TGZ", ErrNoChart, c.Name, c.Version, err)
}

func exact(version string) (string, bool) {
	v, err := semver.StrictNewVersion(strings.TrimPrefix(version, "v"))
	if err != nil {
		return "", false
	}
	return v.String(), true
}

func cached(dir, name, version string) (string, bool) {
	v, ok := exact(version)
	if !ok {
		return "", false
	}
	file := filepath.Join(dir, name+"-"+v+".tgz")
	info, err := os.Lstat(file)
	return file, err == nil && info.Mode().IsRegular() && info.Size() <= maxChartBytes
}

// store checks that the data is the chart and writes it in one step.
func store(dir, name, version string, data []byte) (string, error) {
	ch, err := loader.LoadArchive(bytes.NewReader(data))
	if err != nil {
		return "", fmt.Errorf("what came is not a chart: %w", err)
	}
	if ch.Name() != name || !safeName.MatchString(version) {
		return "", fmt.Errorf("what came is the chart %q", ch.Name())
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(dir, ".pull-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	_, werr := tmp.Write(data)
	if err := errors.Join(werr, tmp.Close()); err != nil {
		return "", err
	}
	file := filepath.Join(dir, name+"-"+version+".tgz")
	return file, os.Rename(tmp.Name(), file)
}

// choose returns the version that Flux would: the exact one, or the highest in
// the range; no version means the highest that is not a pre-release.
func choose(want string, have []string) (string, error) {
	if want == "" {
		want = "*"
	}
	rng, err := semver.NewConstraint(want)
	if err != nil {
		return "", fmt.Errorf("%q is neither a version nor a range", want)
	}
	var best *semver.Version
	var name string
	for _, h := range have {
		v, err := semver.NewVersion(h)
		if err == nil && rng.Check(v) && (best == nil || v.GreaterThan(best)) {
			best, name = v, h
		}
	}
	if best == nil {
		return "", fmt.Errorf("no version there fits %q", want)
	}
	return name, nil
}

// fromRepository reads a Helm repository's index and downloads the archive.
func (p puller) fromRepository(ctx context.Context, c source.Chart) (string, []byte, error) {
	base := strings.TrimSuffix(c.URL, "/") + "/"
	raw, err := p.get(ctx, base+"index.yaml", maxIndexBytes)
	if err != nil {
		return "", nil, err
	}
	var index struct {
		Entries map[string][]struct {
			Version string   `json:"version"`
			URLs    []string `json:"urls"`
			Digest  string   `json:"digest"`
		} `json:"entries"`
	}
	if err := sigsyaml.Unmarshal(raw, &index); err != nil {
		return "", nil, fmt.Errorf("%sindex.yaml: %w", base, err)
	}
	var versions []string
	for _, e := range index.Entries[c.Name] {
		versions = append(versions, e.Version)
	}
	version, err := choose(c.Version, versions)
	if err != nil {
		return "", nil, err
	}
	for _, e := range index.Entries[c.Name] {
		if e.Version != version || len(e.URLs) == 0 {
			continue
		}
		at, err := resolve(base, e.URLs[0])
		if err != nil {
			return "", nil, err
		}
		data, err := p.get(ctx, at, maxChartBytes)
		if err != nil {
			return "", nil, err
		}
		return strings.TrimPrefix(version, "v"), data, verify(data, e.Digest)
	}
	return "", nil, fmt.Errorf("%sindex.yaml gives no URL for version %s", base, version)
}

func verify(data []byte, digest string) error {
	want := strings.TrimPrefix(digest, "sha256:")
	sum := sha256.Sum256(data)
	if want != "" && want != hex.EncodeToString(sum[:]) {
		return fmt.Errorf("the archive's digest is not %s", want)
	}
	return nil
}

func resolve(base, ref string) (string, error) {
	b, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	u, err := b.Parse(ref)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

func (p puller) get(ctx context.Context, at string, limit int64) ([]byte, error) {
	if !strings.HasPrefix(at, "https://") && !strings.HasPrefix(at, "http://") {
		return nil, fmt.Errorf("%s is not an http address", redact(at))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", redact(at), unwrapURL(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %s", redact(at), resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", redact(at), err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("get %s: more than %d bytes", redact(at), limit)
	}
	return data, nil
}

// redact drops what may be a secret from an address.
func redact(at string) string {
	u, err := url.Parse(at)
	if err != nil {
		return "an address that cannot be parsed"
	}
	u.User, u.RawQuery = nil, ""
	return u.String()
}

// unwrapURL takes the address out of an error, which redact already gave.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// fromRegistry pulls from an OCI registry.
func (p puller) fromRegistry(ctx context.Context, c source.Chart) (string, []byte, error) {
	opts := []registry.ClientOption{
		registry.ClientOptWriter(io.Discard),
		registry.ClientOptHTTPClient(&http.Client{Timeout: p.client.Timeout, Transport: bounded{ctx: ctx, next: transport(p.client)}}),
		registry.ClientOptCredentialsFile(os.DevNull),
	}
	if c.Insecure {
		opts = append(opts, registry.ClientOptPlainHTTP())
	}
	client, err := registry.NewClient(opts...)
	if err != nil {
		return "", nil, err
	}
	ref := strings.TrimSuffix(strings.TrimPrefix(c.URL, registry.OCIScheme+"://"), "/")
	if c.Kind != "OCIRepository" {
		ref += "/" + c.Name
	}
	version, ok := exact(c.Version)
	tag := c.Version
	if !ok {
		tags, err := client.Tags(ref)
		if err != nil {
			return "", nil, fmt.Errorf("list the tags of %s: %w", ref, overHTTP(err))
		}
		if version, err = choose(c.Version, tags); err != nil {
			return "", nil, err
		}
		tag = version
	}
	pulled, err := client.Pull(ref + ":" + strings.ReplaceAll(tag, "+", "_"))
	if err != nil {
		return "", nil, fmt.Errorf("pull %s:%s: %w", ref, tag, overHTTP(err))
	}
	if d := c.Digest; d != "" && pulled.Manifest.Digest != d {
		return "", nil, fmt.Errorf("%s:%s is %s, the release pins %s", ref, tag, pulled.Manifest.Digest, d)
	}
	return version, pulled.Chart.Data, nil
}

// overHTTP says what to change where a registry speaks no TLS.
func overHTTP(err error) error {
	if errors.Is(err, http.ErrSchemeMismatch) {
		return fmt.Errorf("%w: where that is meant, set spec.insecure: true of the source, for Flux too", err)
	}
	return err
}

func transport(c *http.Client) http.RoundTripper {
	if c.Transport != nil {
		return c.Transport
	}
	return http.DefaultTransport
}

// bounded ties every request of the registry client to a context and bounds
// every answer.
type bounded struct {
	ctx  context.Context
	next http.RoundTripper
}

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := b.ctx.Err(); err != nil {
		return nil, err
	}
	resp, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.ContentLength > maxChartBytes {
		resp.Body.Close()
		return nil, fmt.Errorf("%s: more than %d bytes", redact(req.URL.String()), maxChartBytes)
	}
	resp.Body = limited{Reader: io.LimitReader(resp.Body, maxChartBytes), Closer: resp.Body}
	return resp, nil
}

type limited struct {
	io.Reader
	io.Closer
}

// Fits reports whether a chart's version is the one, or in the range, that a
// release names. What is no version is compared as text.
func Fits(want, have string) bool {
	if strings.TrimPrefix(want, "v") == strings.TrimPrefix(have, "v") {
		return true
	}
	_, err := choose(want, []string{have})
	return err == nil
}
