package remediate

import (
	"fmt"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/internal/report"
)

// Bundle is a pull request as files, for places that no forge is reached from:
// a patch that git am takes (0001-….patch) and the pull request's text
// (pull-request.md: the title as heading, then the body), by name. An empty
// candidate is the first. Nothing is signed: whoever applies the patch commits.
func Bundle(res *Result, candidate string, spec v1alpha1.PullRequestSpec, cluster string, now time.Time) (map[string][]byte, error) {
	for _, in := range intents(&res.Plan, cluster) {
		if candidate == "" || in.candidate.ID == candidate {
			return bundle(res, in, spec, now)
		}
	}
	if candidate != "" {
		return nil, fmt.Errorf("bundle: no candidate %q in this plan", clip(candidate, 80))
	}
	return nil, withHint(fmt.Errorf("bundle: the plan proposes no change"), orElse(res.Plan.Abstained, "nothing was found that a change of values answers"))
}

func bundle(res *Result, in intent, spec v1alpha1.PullRequestSpec, now time.Time) (map[string][]byte, error) {
	p := &res.Plan
	spec.Commit.Method = methodPush
	message, err := commitMessage(p, in, spec.Commit)
	if err != nil {
		return nil, err
	}
	patch, err := repo.Patch(repo.PatchOptions{Author: author(spec.Commit), When: now, Message: message, Diff: in.candidate.Diff})
	if err != nil {
		return nil, err
	}
	title, body, err := report.PullRequest(p, report.PullRequestOptions{Candidate: in.candidate.ID, NoCommands: true, Draft: draft(spec, in), Delivery: res.deliveryText(in.candidate.ID)})
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"0001-" + refPart(in.candidate.ID, "change") + ".patch": patch,
		"pull-request.md": []byte("# " + title + "\n\n" + body),
	}, nil
}
