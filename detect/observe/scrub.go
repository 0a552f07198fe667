package observe

import (
	"regexp"
	"strings"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Removed stands where a secret was.
const Removed = snapshot.Removed

var (
	pemBlock   = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|$)`)
	pemBase64  = regexp.MustCompile(`LS0tLS1CRUdJTi[A-Za-z0-9+/=]+`)
	jwt        = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?`)
	userInfo   = regexp.MustCompile(`://[^/\s@"']+@`)
	authHeader = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{16,}`)
	assigned   = regexp.MustCompile(`(?i)\b([a-z0-9_.-]*(?:password|passwd|passphrase|token|secret|private[_-]?key|api[_-]?key|access[_-]?key|credentials?|signature|sig))(["']?\s*[=:]\s*["']?)([^\s"'&,;]+)`)
	knownToken = regexp.MustCompile(`\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}|xox[abprs]-[A-Za-z0-9-]{10,})`)
)

// scrub removes from free text what looks like a credential: PEM blocks,
// JSON web tokens, the user part of URLs, authorization headers, the usual
// vendors' tokens, and values assigned to names such as password or token.
func scrub(s string) string {
	if s == "" {
		return s
	}
	s = pemBlock.ReplaceAllString(s, Removed)
	s = pemBase64.ReplaceAllString(s, Removed)
	s = jwt.ReplaceAllString(s, Removed)
	s = userInfo.ReplaceAllStringFunc(s, func(m string) string {
		if m == "://git@" {
			return m
		}
		return "://" + Removed + "@"
	})
	s = authHeader.ReplaceAllString(s, "${1} "+Removed)
	s = knownToken.ReplaceAllString(s, Removed)
	return assigned.ReplaceAllString(s, "${1}${2}"+Removed)
}

// secretKey are the names of configuration keys that hold a secret itself.
// Names of files, namespaces and Secrets are no secrets: they end otherwise.
var secretKey = regexp.MustCompile(`(?i)(?:^|[-_.])(?:password|passwd|passphrase|token|secret|private-?key|access-?key|api-?key|credentials?)$`)

// scrubConfig removes secrets from the data of a configuration: values that
// look like one, and values of keys that are named like one.
func scrubConfig(data map[string]string) map[string]string {
	if len(data) == 0 {
		return nil
	}
	out := make(map[string]string, len(data))
	for k, v := range data {
		out[k] = scrubValue(k, v)
	}
	return out
}

func scrubValue(key, value string) string {
	harmless := value == "" || value == "true" || value == "false" || strings.HasPrefix(value, "/")
	if secretKey.MatchString(key) && !harmless {
		return Removed
	}
	return scrub(value)
}
