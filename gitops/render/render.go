package render

import (
	"context"
	"fmt"
	"strings"
	"text/template"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
)

// Options are what a render depends on besides chart and values.
type Options struct {
	// Release is Helm's release name; empty means the chart's name.
	Release string
	// Namespace is the target namespace; empty means kube-system.
	Namespace string
	// KubeVersion is the cluster's, as in "1.32.1"; empty means unknown, and
	// the engine's default is taken without checking the chart's range.
	KubeVersion string
	// APIVersions are those that the cluster serves. Nil means unknown: then
	// what Cilium's chart asks for counts as served, since a release that is
	// live has passed that test.
	APIVersions []string
	// SkipSchema leaves out the check against the chart's schema.
	SkipSchema bool
	// Before is a render of the same values with the same options, for
	// [Chart.NoEffect] to compare with; nil lets it render them itself.
	Before *Rendered
}

// assumedAPIs are what templates of Cilium 1.18.6 look for in
// Capabilities.APIVersions.
var assumedAPIs = []string{"monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1/GatewayClass", "cert-manager.io/v1"}

// Render renders the chart as an upgrade of an existing release. The error is
// a [*FailError] or a [*SchemaError] when the chart refuses the values.
func (c *Chart) Render(values map[string]any, opts Options) (*Rendered, error) {
	caps, err := c.capabilities(opts)
	if err != nil {
		return nil, err
	}
	ch, err := c.withDependencies(values)
	if err != nil {
		return nil, err
	}
	release := common.ReleaseOptions{Name: or(opts.Release, c.Name), Namespace: or(opts.Namespace, "kube-system"), Revision: 2, IsUpgrade: true}
	top, err := util.ToRenderValuesWithSchemaValidation(ch, values, release, caps, opts.SkipSchema || c.accepts(values))
	if err != nil {
		return nil, explainValues(err)
	}
	// Templates can change values with set; the chart's defaults are shared.
	top["Values"] = copyOf(top["Values"])
	files, err := engine.Engine{CustomTemplateFuncs: placeholders()}.RenderWithContext(context.Background(), ch, top)
	if err != nil {
		return nil, explain(err)
	}
	return newRendered(files), nil
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

func (c *Chart) capabilities(opts Options) (*common.Capabilities, error) {
	caps := common.DefaultCapabilities.Copy()
	apis := opts.APIVersions
	if apis == nil {
		apis = assumedAPIs
	}
	caps.APIVersions = append(append(common.VersionSet{}, caps.APIVersions...), apis...)
	if opts.KubeVersion == "" {
		return caps, nil
	}
	v, err := common.ParseKubeVersion(opts.KubeVersion)
	if err != nil {
		return nil, fmt.Errorf("Kubernetes version %q: %w", opts.KubeVersion, err)
	}
	caps.KubeVersion = *v
	if want := c.chart.Metadata.KubeVersion; want != "" && !chartutil.IsCompatibleRange(want, v.String()) {
		return nil, &FailError{Message: fmt.Sprintf("chart requires kubeVersion %s, the cluster has %s", want, v), Template: "Chart.yaml"}
	}
	return caps, nil
}

// withDependencies drops the subcharts that the values switch off. That
// changes the chart, so a chart with subcharts is loaded anew.
func (c *Chart) withDependencies(values map[string]any) (*chart.Chart, error) {
	if len(c.chart.Dependencies()) == 0 {
		return c.chart, nil
	}
	fresh, err := LoadChart(c.path)
	if err != nil {
		return nil, err
	}
	if err := chartutil.ProcessDependencies(fresh.chart, values); err != nil {
		return nil, fmt.Errorf("process the chart's dependencies: %w", err)
	}
	return fresh.chart, nil
}

// certificate has the fields of the value that Helm's certificate functions
// return.
type certificate struct{ Cert, Key string }

// placeholders replace the functions whose results differ from call to call.
// Names and results are those of Masterminds/sprig v3.
func placeholders() template.FuncMap {
	cert := func(...any) certificate { return certificate{"placeholder certificate", "placeholder key"} }
	text := func(...any) string { return "placeholder" }
	letters := func(n int) string { return strings.Repeat("x", max(0, min(n, 1<<16))) }
	m := template.FuncMap{
		"now":           func() time.Time { return time.Unix(0, 0).UTC() },
		"randInt":       func(low, _ int) int { return low },
		"shuffle":       func(s string) string { return s },
		"getHostByName": func(string) string { return "" },
		"env":           func(string) string { return "" },
		"expandenv":     func(s string) string { return s },
	}
	for _, n := range []string{"genCA", "genCAWithKey", "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey"} {
		m[n] = cert
	}
	for _, n := range []string{"genPrivateKey", "uuidv4", "derivePassword", "htpasswd", "bcrypt", "encryptAES"} {
		m[n] = text
	}
	for _, n := range []string{"randAlphaNum", "randAlpha", "randAscii", "randNumeric", "randBytes"} {
		m[n] = letters
	}
	return m
}

// copyOf copies maps and lists, not what they hold.
func copyOf(v any) any {
	switch t := v.(type) {
	case common.Values:
		return common.Values(copyMap(t))
	case map[string]any:
		return copyMap(t)
	case []any:
		out := make([]any, len(t))
		for i, e := range t {
			out[i] = copyOf(e)
		}
		return out
	}
	return v
}

func copyMap(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, e := range m {
		out[k] = copyOf(e)
	}
	return out
}

func valueAt(v any, segs []string) (any, bool) {
	for _, s := range segs {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = m[s]; !ok {
			return nil, false
		}
	}
	return v, true
}
