package report

import (
	"regexp"
	"strings"
	"testing"
)

func TestSentence(t *testing.T) {
	for in, want := range map[string]string{
		"":                                      "",
		"pods stop":                             "Pods stop.",
		"Pods stop.":                            "Pods stop.",
		"rollOutCiliumPods is off":              "rollOutCiliumPods is off.",
		"kube-proxy is off":                     "kube-proxy is off.",
		"ends early…":                           "Ends early…",
		"is it so?":                             "Is it so?",
		"`mtu` is ignored":                      "`mtu` is ignored.",
		"see the list:":                         "See the list:",
		"it names (the range)":                  "It names (the range).",
		"écran":                                 "écran.",
		"10 of 12 agents":                       "10 of 12 agents.",
		"nothing":                               "Nothing.",
		"cilium.io/v2 is served":                "cilium.io/v2 is served.",
		"the agent says \"cannot start\"":       "The agent says \"cannot start\".",
		"two sentences. the second has no stop": "Two sentences. the second has no stop.",
	} {
		if got := sentence(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// A summary is HTML: Markdown is not read in it, and links are all the same.
func TestSummariesAreHTML(t *testing.T) {
	live := regexp.MustCompile("[`\\\\<>]|@\\w|[#!]\\d|://|www\\.|:[a-z0-9_+-]+:|(?i:GH-\\d)")
	for _, p := range hostilePlans() {
		_, body := pullRequest(t, p, PullRequestOptions{})
		if !strings.Contains(body, "<summary>Offered beside it") {
			t.Fatal("nothing is offered")
		}
		for l := range strings.SplitSeq(body, "\n") {
			title, ok := strings.CutPrefix(l, "<details><summary>")
			title = strings.ReplaceAll(strings.TrimSuffix(title, "</summary>"), gap, "\u200b")
			if ok && live.MatchString(title) {
				t.Errorf("%q is live in the summary %.200q", live.FindString(title), title)
			}
		}
	}
}
