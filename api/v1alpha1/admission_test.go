package v1alpha1_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// tried is a specification and what the API server says to it: the field and the
// message, parted by a bar; nothing when it is accepted.
type tried struct{ spec, want string }

// check creates each without storing it.
func (s *suite) check(t *testing.T, build func(*testing.T, string) *unstructured.Unstructured, tests []tried) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.spec[:min(len(tt.spec), 80)], func(t *testing.T) {
			judge(t, s.Create(t.Context(), build(t, tt.spec), client.DryRunAll), tt.want)
		})
	}
}

// judge compares what the server said with what it should say; see [tried].
func judge(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	field, message, ok := strings.Cut(want, "|")
	switch {
	case !ok:
		t.Fatalf("%q has no bar", want)
	case err == nil:
		t.Errorf("accepted, want %s: %s", field, message)
	case !strings.Contains(err.Error(), field+":") || !strings.Contains(err.Error(), message):
		t.Errorf("got  %v\nwant %s: %s", err, field, message)
	}
}

func TestAdmission(t *testing.T) {
	s := start(t)
	t.Run("policy", func(t *testing.T) { s.check(t, policy, policies()) })
	t.Run("policy parts", func(t *testing.T) { s.check(t, policy, policyParts()) })
	t.Run("freezes", func(t *testing.T) { s.check(t, policy, freezes()) })
	t.Run("durations", func(t *testing.T) { s.check(t, policy, durations()) })
	t.Run("pull request", func(t *testing.T) { s.check(t, policy, pullRequests()) })
	t.Run("remediation", func(t *testing.T) { s.check(t, remediation, remediations()) })
	t.Run("status", s.statuses)
	t.Run("names", s.names)
	t.Run("samples", s.samples)
	t.Run("defaults", s.defaults)
	t.Run("written once", s.writtenOnce)
	t.Run("columns", s.columns)
	t.Run("conditions", s.conditions)
	t.Run("bounded status", s.boundedStatus)
	t.Run("each bounded field", s.eachField)
}

const (
	aName      = "small letters, digits, hyphens"
	aBranch    = "branch is no name of a Git branch"
	aForgeURL  = "url is https://HOST or https://HOST/PATH"
	aGitURL    = "url is https://HOST/PATH or ssh://USER@HOST/PATH; credentials belong in the Secret of secretRef"
	aSignature = "is no name of a signature: remediate explain lists them"
)

func policies() []tried {
	return []tried{
		{``, ``},
		{`{}`, ``},
		{`nonsense: 1`, `strict decoding error|unknown field "spec.nonsense"`},
		{`mode: Observe`, ``},
		{`mode: Propose`, ``},
		{`mode: Merge`, `spec.mode|supported values: "Observe", "Propose"`},
		{`mode: ""`, `spec.mode|supported values`},
		{`suspend: true`, ``},
		{`suspend: "yes"`, `spec.suspend|must be of type boolean`},

		{`releaseRef: {}`, ``},
		{`releaseRef: {name: cilium-1.2, namespace: kube-system}`, ``},
		{`releaseRef: {name: Cilium}`, `spec.releaseRef.name|` + aName},
		{`releaseRef: {name: -x}`, `spec.releaseRef.name|` + aName},
		{`releaseRef: {name: ` + strings.Repeat("a", 254) + `}`, `spec.releaseRef.name|may not be more than 253`},
		{`releaseRef: {namespace: kube.system}`, `spec.releaseRef.namespace|is no namespace`},
		{`releaseRef: {namespace: ` + strings.Repeat("a", 64) + `}`, `spec.releaseRef.namespace|may not be more than 63`},

		{`sourceRef: {name: flux-system}`, ``},
		{`sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}`, ``},
		{`sourceRef: {}`, `spec.sourceRef.name|Required`},
		{`sourceRef: {name: a_b}`, `spec.sourceRef.name|` + aName},
		{`sourceRef: {name: a, namespace: A}`, `spec.sourceRef.namespace|is no namespace`},
		{`sourceRef: {kind: OCIRepository, name: a}`, `spec.sourceRef.kind|kind is GitRepository: a change is proposed to Git`},
		{`{sourceRef: {name: a}, git: {url: "https://example.com/a/b"}}`, `spec|sourceRef and git contradict each other: give one`},

		{`git: {url: "https://example.com/a/b.git", branch: main, secretRef: {name: s}}`, ``},
		{`git: {url: "https://example.com:8443/a/b"}`, ``},
		{`git: {url: "https://[2001:db8::1]/a/b"}`, ``},
		{`git: {url: "ssh://git@example.com/a/b"}`, ``},
		{`git: {url: "ssh://git@example.com:2222/a/b"}`, ``},
		{`git: {url: "ssh://example.com/a/b"}`, ``},
		{`git: {}`, `spec.git.url|Required`},
		{`git: {url: "http://example.com/a/b"}`, `spec.git.url|` + aGitURL},
		{`git: {url: "https://user:password@example.com/a/b"}`, `spec.git.url|` + aGitURL},
		{`git: {url: "ssh://git:password@example.com/a/b"}`, `spec.git.url|` + aGitURL},
		{`git: {url: "git@example.com:a/b"}`, `spec.git.url|` + aGitURL},
		{`git: {url: "file:///etc"}`, `spec.git.url|` + aGitURL},
		{`git: {url: "https://example.com"}`, `spec.git.url|` + aGitURL},
		{`git: {url: "https://example.com/a b"}`, `spec.git.url|` + aGitURL},
		{`git: {url: "https://example.com/a?token=b"}`, `spec.git.url|` + aGitURL},
		{`git: {url: "https://example.com/` + strings.Repeat("a", 2048) + `"}`, `spec.git.url|may not be more than 2048`},
		{`git: {url: "https://example.com/a/b", secretRef: {name: A}}`, `spec.git.secretRef|name is no name of a Secret`},
		{`git: {url: "https://example.com/a/b", secretRef: {}}`, `spec.git.secretRef.name|Required`},
		{`git: {url: "https://example.com/a/b", branch: "release/1.2_x+y"}`, ``},
		{`git: {url: "https://example.com/a/b", branch: "straße"}`, ``},
		{`git: {url: "https://example.com/a/b", branch: "-f"}`, `spec.git.branch|` + aBranch},
		{`git: {url: "https://example.com/a/b", branch: "a b"}`, `spec.git.branch|` + aBranch},
		{`git: {url: "https://example.com/a/b", branch: "a..b"}`, `spec.git.branch|` + aBranch},
		{`git: {url: "https://example.com/a/b", branch: "a.lock"}`, `spec.git.branch|` + aBranch},
		{`git: {url: "https://example.com/a/b", branch: "a/"}`, `spec.git.branch|` + aBranch},
		{`git: {url: "https://example.com/a/b", branch: "a@b{c}"}`, ``},
		{`git: {url: "https://example.com/a/b", branch: 'a\b'}`, `spec.git.branch|` + aBranch},
		{`git: {url: "https://example.com/a/b", branch: "a\u0007b"}`, `spec.git.branch|` + aBranch},
		{`git: {url: "https://example.com/a/b", branch: "a@{1}"}`, `spec.git.branch|` + aBranch},

		{`path: clusters/home`, ``},
		{`path: ./clusters/home`, ``},
		{`path: clusters/a..b`, ``},
		{`path: /etc`, `spec.path|below the repository's root`},
		{`path: a/../../b`, `spec.path|below the repository's root`},
		{`path: ` + strings.Repeat("a", 1025), `spec.path|may not be more than 1024`},
		{`cluster: eu-prod.1`, ``},
		{`cluster: a..b`, `spec.cluster|cluster stands in branches' names`},
		{`cluster: a.lock`, `spec.cluster|cluster stands in branches' names`},
		{`cluster: a/b`, `spec.cluster|cluster stands in branches' names`},
		{`cluster: -a`, `spec.cluster|cluster stands in branches' names`},
		{`cluster: ` + strings.Repeat("a", 64), `spec.cluster|may not be more than 63`},

		{`historyLimit: 1`, ``},
		{`historyLimit: 100`, ``},
		{`historyLimit: 0`, `spec.historyLimit|historyLimit is 1 to 100`},
		{`historyLimit: 101`, `spec.historyLimit|historyLimit is 1 to 100`},
	}
}

func policyParts() []tried {
	return []tried{
		{`forge: {}`, ``},
		{`forge: {type: github, secretRef: {name: s}}`, ``},
		{`forge: {type: gitlab, url: "https://gitlab.example.com"}`, ``},
		{`forge: {type: gitea, url: "https://example.com:3000/git/", branch: main}`, ``},
		{`{mode: Propose, forge: {type: plain}}`, ``},
		{`forge: {type: bitbucket}`, `spec.forge.type|type is github, gitlab, gitea (Forgejo too) or plain`},
		{`forge: {url: "http://example.com"}`, `spec.forge.url|` + aForgeURL},
		{`forge: {url: "https://a:b@example.com"}`, `spec.forge.url|` + aForgeURL},
		{`forge: {url: "ssh://example.com"}`, `spec.forge.url|` + aForgeURL},
		{`forge: {secretRef: {name: "a/b"}}`, `spec.forge.secretRef|name is no name of a Secret`},
		{`forge: {branch: "a~1"}`, `spec.forge.branch|` + aBranch},
		{`forge: {type: plain, url: "https://example.com"}`, `spec.forge|url and secretRef are for a forge's API: type plain has none`},
		{`forge: {type: plain, secretRef: {name: s}}`, `spec.forge|url and secretRef are for a forge's API: type plain has none`},

		{`signatures: {enable: [a-b], disable: [c-d]}`, ``},
		{`signatures: {enable: [a-b, c], disable: [c]}`, `spec.signatures|enable and disable name the same signature`},
		{`signatures: {enable: [A]}`, `spec.signatures.enable[0]|` + aSignature},
		{`signatures: {disable: [a, "b c"]}`, `spec.signatures.disable[1]|` + aSignature},
		{`signatures: {disable: [a, a]}`, `spec.signatures.disable[1]|Duplicate`},
		{`signatures: {enable: [` + many(65) + `]}`, `spec.signatures.enable|must have at most 64 items`},

		{`probes: {}`, ``},
		{`probes: {namespace: probes, host: true, managed: false, external: ["1.1.1.1:443", "[2001:db8::1]:53"], silentAfter: 30s}`, ``},
		{`probes: {namespace: Probes}`, `spec.probes.namespace|is no namespace`},
		{`probes: {external: ["example.com:443"]}`, `spec.probes.external[0]|is no address with a port: 192.0.2.1:443, [2001:db8::1]:443`},
		{`probes: {external: ["1.1.1.1"]}`, `spec.probes.external[0]|is no address with a port`},
		{`probes: {external: ["1.1.1.1:0"]}`, `spec.probes.external[0]|is no address with a port`},
		{`probes: {external: ["2001:db8::1:443"]}`, `spec.probes.external[0]|is no address with a port`},
		{`probes: {external: ["1.1.1.1:1", "1.1.1.1:2", "1.1.1.1:3", "1.1.1.1:4", "1.1.1.1:5", "1.1.1.1:6", "1.1.1.1:7", "1.1.1.1:8", "1.1.1.1:9"]}`, `spec.probes.external|must have at most 8 items`},

		{`events: {address: "http://notification-controller.flux-system.svc.cluster.local./"}`, ``},
		{`events: {address: "https://example.com"}`, ``},
		{`events: {address: "notification-controller"}`, `spec.events.address|address is http://HOST/ or https://HOST/`},
		{`events: {address: "http://a:b@example.com/"}`, `spec.events.address|address is http://HOST/ or https://HOST/`},

		{`commands: {}`, ``},
		{`commands: {enabled: false}`, ``},
		{`commands: {allowedUsers: [alice, bob]}`, ``},
		{`commands: {enabled: false, allowedUsers: [alice]}`, `spec.commands|allowedUsers are set while commands are not enabled`},
		{`commands: {allowedUsers: [""]}`, `spec.commands.allowedUsers[0]|at least 1 chars`},
		{`commands: {allowedUsers: [a, a]}`, `spec.commands.allowedUsers[1]|Duplicate`},
		{`commands: {allowedUsers: [` + many(51) + `]}`, `spec.commands.allowedUsers|must have at most 50 items`},

		{`breakGlass: {}`, ``},
		{`breakGlass: {enabled: false}`, ``},
		{`{mode: Propose, breakGlass: {enabled: true}}`, ``},
		{`{mode: Propose, breakGlass: {enabled: true, serviceAccountName: a.b}}`, ``},
		{`breakGlass: {enabled: true}`, `spec|breakGlass.enabled needs mode Propose`},
		{`{mode: Observe, breakGlass: {enabled: true}}`, `spec|breakGlass.enabled needs mode Propose`},
		{`breakGlass: {serviceAccountName: a}`, `spec.breakGlass|serviceAccountName is set while breakGlass is not enabled`},
		{`{mode: Propose, breakGlass: {enabled: true, serviceAccountName: "a b"}}`, `spec.breakGlass.serviceAccountName|is no name of a ServiceAccount`},

		{`flux: {namespace: flux}`, ``},
		{`flux: {namespace: flux.system}`, `spec.flux.namespace|is no namespace`},
	}
}

func freezes() []tried {
	const (
		once     = `from: "2026-12-21T00:00:00+01:00", to: "2027-01-04T08:00:00Z"`
		nightly  = `start: "22:00", end: "06:00"`
		twoKinds = `a freeze has from and to (once), or start and end (again and again), and not both`
	)
	one := func(fields string) string { return `freezes: [{` + fields + `}]` }
	return []tried{
		{`freezes: []`, ``},
		{one(once), ``},
		{one(once + `, reason: holidays`), ``},
		{one(nightly), ``},
		{one(nightly + `, days: [Mon, Sun], timeZone: Europe/Berlin, reason: night`), ``},
		{one(`start: "00:00", end: "24:00", days: [Sat]`), ``},
		{one(nightly + `, timeZone: UTC`), ``},
		{one(nightly + `, timeZone: America/Argentina/Buenos_Aires`), ``},
		{one(nightly + `, timeZone: Etc/GMT+3`), ``},
		{one(``), `spec.freezes[0]|` + twoKinds},
		{one(`from: "2026-12-21T00:00:00Z"`), `spec.freezes[0]|` + twoKinds},
		{one(`start: "22:00"`), `spec.freezes[0]|` + twoKinds},
		{one(`from: "2026-12-21T00:00:00Z", end: "22:00"`), `spec.freezes[0]|` + twoKinds},
		{one(once + `, ` + nightly), `spec.freezes[0]|` + twoKinds},
		{one(`from: "2027-01-04T00:00:00Z", to: "2027-01-04T00:00:00Z"`), `spec.freezes[0]|from is not before to`},
		{one(`from: "2027-01-04T00:30:00Z", to: "2027-01-04T01:00:00+01:00"`), `spec.freezes[0]|from is not before to`},
		{one(`from: yesterday, to: tomorrow`), `spec.freezes[0].from|date-time`},
		{one(once + `, days: [Mon]`), `spec.freezes[0]|days and timeZone go with start and end`},
		{one(once + `, timeZone: UTC`), `spec.freezes[0]|days and timeZone go with start and end`},
		{one(`start: "22:00", end: "22:00"`), `spec.freezes[0]|start and end are the same time`},
		{one(`start: "24:00", end: "06:00"`), `spec.freezes[0].start|start is a time of the day from 00:00 to 23:59`},
		{one(`start: "9:00", end: "10:00"`), `spec.freezes[0].start|start is a time of the day`},
		{one(`start: "09:00", end: "24:01"`), `spec.freezes[0].end|end is a time of the day from 00:00 to 24:00`},
		{one(`start: "09:00", end: "10:60"`), `spec.freezes[0].end|end is a time of the day`},
		{one(nightly + `, days: [Monday]`), `spec.freezes[0].days[0]|supported values: "Mon"`},
		{one(nightly + `, days: [Mon, Mon]`), `spec.freezes[0].days[1]|Duplicate`},
		{one(nightly + `, timeZone: Europe/Entenhausen`), `spec.freezes[0].timeZone|timeZone is a name of the IANA database, such as Europe/Berlin`},
		{one(nightly + `, timeZone: "+02:00"`), `spec.freezes[0].timeZone|timeZone is a name of the IANA database`},
		{one(nightly + `, timeZone: Local`), `spec.freezes[0].timeZone|timeZone is a name of the IANA database`},
		{one(nightly + `, timeZone: ../../etc/passwd`), `spec.freezes[0].timeZone|timeZone is a name of the IANA database`},
		{one(nightly + `, reason: ` + strings.Repeat("a", 201)), `spec.freezes[0].reason|may not be more than 200`},
		{`freezes: [` + strings.TrimSuffix(strings.Repeat(`{`+nightly+`},`, 21), ",") + `]`, `spec.freezes|must have at most 20 items`},
	}
}

func durations() []tried {
	var out []tried
	for _, field := range []struct {
		path          string
		good, tooMuch string
		tooLittle     string
		wrap          string
	}{
		{"interval", "24h", "24h1s", "9.9s", `interval: %s`},
		{"timeout", "1h", "61m", "9s", `timeout: %s`},
		{"probes.silentAfter", "10s", "2h", "1s", `probes: {silentAfter: %s}`},
		{"verify.hold", "5s", "3601s", "4999ms", `verify: {hold: %s}`},
		{"verify.grace", "10s", "25h", "9s", `verify: {grace: %s}`},
		{"verify.timeout", "168h", "169h", "59s", `verify: {hold: 5s, grace: 10s, timeout: %s}`},
	} {
		name := field.path[strings.LastIndex(field.path, ".")+1:]
		out = append(out, tried{fmt.Sprintf(field.wrap, field.good), ``})
		for _, bad := range []string{field.tooMuch, field.tooLittle, "1d", "-10m", "''", "10", "soon"} {
			want := "spec." + field.path + "|" + name + " is a duration from "
			if bad == "10" {
				want = "spec." + field.path + "|must be of type string"
			}
			out = append(out, tried{fmt.Sprintf(field.wrap, bad), want})
		}
	}
	return append(out,
		tried{`verify: {timeout: 5m}`, `spec.verify|timeout is not longer than hold and grace`},
		tried{`verify: {timeout: 1m, hold: 1m, grace: 10s}`, `spec.verify|timeout is not longer than hold and grace`},
		tried{`verify: {timeout: 1m, hold: 59s, grace: 59s}`, ``},
	)
}

func pullRequests() []tried {
	pr := func(fields string) string { return `pullRequest: {` + fields + `}` }
	return []tried{
		{pr(``), ``},
		{pr(`labels: [a, area/b], reviewers: [alice, org/team], draft: always`), ``},
		{pr(`commit: {author: {name: a, email: a@example.com}, signingKey: {secretRef: {name: s}}, messageTemplate: "{{.Title}}", messageTemplateValues: {a: b}, signOff: true, method: Push}`), ``},
		{pr(`limits: {maxOpen: 0, maxPerDay: 1000, maxNotReadyPercent: 100}`), ``},
		{pr(`labels: [""]`), `spec.pullRequest.labels[0]|at least 1 chars`},
		{pr(`labels: [` + strings.Repeat("a", 51) + `]`), `spec.pullRequest.labels[0]|may not be more than 50`},
		{pr(`labels: [` + many(21) + `]`), `spec.pullRequest.labels|must have at most 20 items`},
		{pr(`reviewers: [` + many(21) + `]`), `spec.pullRequest.reviewers|must have at most 20 items`},
		{pr(`draft: maybe`), `spec.pullRequest.draft|draft is auto, always or never`},
		{pr(`commit: {method: Magic}`), `spec.pullRequest.commit.method|method is Push, or API`},
		{pr(`commit: {method: API}`), ``},
		{pr(`commit: {method: API}`) + "\nforge: {type: github}", ``},
		{pr(`commit: {method: API}`) + "\nforge: {type: gitlab}", `spec|pullRequest.commit.method API needs a forge of type github`},
		{pr(`commit: {method: API, signingKey: {secretRef: {name: s}}}`), `spec.pullRequest.commit|signingKey and method API contradict each other`},
		{pr(`commit: {signingKey: {secretRef: {name: S}}}`), `spec.pullRequest.commit.signingKey.secretRef|name is no name of a Secret`},
		{pr(`commit: {messageTemplate: ` + strings.Repeat("a", 8193) + `}`), `spec.pullRequest.commit.messageTemplate|may not be more than 8192`},
		{pr(`limits: {maxOpen: -1}`), `spec.pullRequest.limits.maxOpen|maxOpen is 0 (no limit) to 1000`},
		{pr(`limits: {maxPerDay: 1001}`), `spec.pullRequest.limits.maxPerDay|maxPerDay is 0 (no limit) to 1000`},
		{pr(`limits: {maxNotReadyPercent: 101}`), `spec.pullRequest.limits.maxNotReadyPercent|maxNotReadyPercent is a percentage, 0 to 100`},
	}
}

func remediations() []tried {
	return []tried{
		{``, ``},
		{`family: null`, ``},
		{`family: IPv5`, `spec.family|supported values`},
		{`policyRef: null`, `spec.policyRef|Required`},
		{`policyRef: {name: A}`, `spec.policyRef|name is no name of a RemediationPolicy`},
		{`signature: null`, `spec.signature|Required`},
		{`signature: "A B"`, `spec.signature|` + aSignature},
		{`cause: null`, `spec.cause|Required`},
		{`cause: xyz`, `spec.cause|cause is a hash, 8 to 64 hexadecimal digits`},
		{`cause: abc1234`, `spec.cause|cause is a hash`},
		{`releaseRef: null`, `spec.releaseRef|Required`},
		{`releaseRef: {name: "../x"}`, `spec.releaseRef.name|` + aName},
		{`releaseRef: {name: cilium, namespace: a_b}`, `spec.releaseRef.namespace|is no namespace`},
		{`about: ` + strings.Repeat("a", 501), `spec.about|may not be more than 500`},
	}
}

// statuses: what is written to a status is held to the schema too, so that a fault
// of ours shows at once.
func (s *suite) statuses(t *testing.T) {
	const condition = `{type: Merged, status: "True", reason: Waiting, message: "", lastTransitionTime: "2026-01-01T00:00:00Z"}`
	o := stored(t, s, "statuses")
	for _, tt := range []tried{
		{`phase: Merged`, ``},
		{`phase: Finished`, `status.phase|supported values: "Detected"`},
		{`verdict: FixedElsewhere`, ``},
		{`verdict: Probably`, `status.verdict|supported values: "Verified"`},
		{`conditions: [` + condition + `]`, ``},
		{`conditions: [` + condition + `, ` + condition + `]`, `status.conditions[1]|Duplicate`},
		{`conditions: [` + strings.Replace(condition, "Waiting", "max-open", 1) + `]`, `status.conditions[0].reason|should match`},
		{`pullRequest: {action: Opened, number: 7, url: "https://example.com/7"}`, ``},
		{`pullRequest: {action: Guessed}`, `status.pullRequest.action|supported values`},
		{`delivery: {willArrive: maybe}`, `status.delivery.willArrive|supported values: "yes", "partly", "no", "unknown"`},
		{`finding: {severity: bad, confidence: confirmed, summary: s, present: true}`, `status.finding.severity|supported values`},
		{`plan: {hash: h, diff: ` + strings.Repeat("a", 8193) + `}`, `status.plan.diff|may not be more than 8192`},
		{`history: [{at: "2026-01-01T00:00:00Z", step: Merged, text: ` + strings.Repeat("a", 201) + `}]`, `status.history[0].text|may not be more than 200`},
		{`history: [{step: Merged, text: t}]`, `status.history[0].at|Required`},
		{`nodes: {wanted: 12, active: 3, waiting: [{node: node-1, reason: r, unknown: true}]}`, ``},
		{`matrix: {}`, `strict decoding error|unknown field "status.matrix"`},
	} {
		var status map[string]any
		if err := yaml.UnmarshalStrict([]byte(tt.spec), &status); err != nil {
			t.Fatal(err)
		}
		u := remediation(t, ``)
		u.SetName(o.Name)
		u.SetResourceVersion(o.ResourceVersion)
		u.Object["status"] = status
		t.Run(tt.spec[:min(len(tt.spec), 80)], func(t *testing.T) {
			judge(t, s.Status().Update(t.Context(), u, &client.SubResourceUpdateOptions{UpdateOptions: client.UpdateOptions{DryRun: []string{metav1.DryRunAll}}}), tt.want)
		})
	}
}

// many is a list of different names.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%d,", i)
	}
	return b.String()
}

func (s *suite) names(t *testing.T) {
	p := policy(t, `{}`)
	p.SetName(strings.Repeat("a", 64))
	err := s.Create(t.Context(), p, client.DryRunAll)
	if err == nil || !strings.Contains(err.Error(), "at most 63 characters long: it becomes a label") {
		t.Errorf("got %v", err)
	}
}

func (s *suite) samples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "config", "samples", "*.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		o := object(t, string(text))
		o.SetNamespace("default")
		if err := s.Create(t.Context(), o, client.DryRunAll); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}
