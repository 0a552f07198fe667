package policy

import (
	"encoding/json"
	"errors"
	"fmt"

	sigsjson "sigs.k8s.io/json"
)

// ciliumSpec is one spec of a CiliumNetworkPolicy. Lists keep the difference
// between absent and empty: an empty list of peers selects nobody
// (pkg/policy/api/ingress.go:213-222, 1.18.6).
type ciliumSpec struct {
	EndpointSelector  *labelSelector  `json:"endpointSelector"`
	NodeSelector      *labelSelector  `json:"nodeSelector"`
	Ingress           []ingressRule   `json:"ingress"`
	IngressDeny       []ingressDeny   `json:"ingressDeny"`
	Egress            []egressRule    `json:"egress"`
	EgressDeny        []egressDeny    `json:"egressDeny"`
	EnableDefaultDeny defaultDeny     `json:"enableDefaultDeny"`
	Labels            json.RawMessage `json:"labels"`
	Description       json.RawMessage `json:"description"`
	Log               json.RawMessage `json:"log"`
}

type defaultDeny struct {
	Ingress *bool `json:"ingress"`
	Egress  *bool `json:"egress"`
}

type ingressPeers struct {
	FromEndpoints []labelSelector   `json:"fromEndpoints"`
	FromRequires  []labelSelector   `json:"fromRequires"`
	FromNodes     []labelSelector   `json:"fromNodes"`
	FromCIDR      []string          `json:"fromCIDR"`
	FromCIDRSet   []cidrRule        `json:"fromCIDRSet"`
	FromEntities  []string          `json:"fromEntities"`
	FromGroups    []json.RawMessage `json:"fromGroups"`
}

type egressPeers struct {
	ToEndpoints []labelSelector   `json:"toEndpoints"`
	ToRequires  []labelSelector   `json:"toRequires"`
	ToNodes     []labelSelector   `json:"toNodes"`
	ToCIDR      []string          `json:"toCIDR"`
	ToCIDRSet   []cidrRule        `json:"toCIDRSet"`
	ToEntities  []string          `json:"toEntities"`
	ToGroups    []json.RawMessage `json:"toGroups"`
	ToServices  []json.RawMessage `json:"toServices"`
}

type ingressRule struct {
	ingressPeers   `json:",inline"`
	ToPorts        []portRule      `json:"toPorts"`
	ICMPs          []icmpRule      `json:"icmps"`
	Authentication *authentication `json:"authentication"`
}

type ingressDeny struct {
	ingressPeers `json:",inline"`
	ToPorts      []portDeny `json:"toPorts"`
	ICMPs        []icmpRule `json:"icmps"`
}

type egressRule struct {
	egressPeers    `json:",inline"`
	ToFQDNs        []json.RawMessage `json:"toFQDNs"`
	ToPorts        []portRule        `json:"toPorts"`
	ICMPs          []icmpRule        `json:"icmps"`
	Authentication *authentication   `json:"authentication"`
}

type egressDeny struct {
	egressPeers `json:",inline"`
	ToPorts     []portDeny `json:"toPorts"`
	ICMPs       []icmpRule `json:"icmps"`
}

type authentication struct {
	Mode string `json:"mode"`
}

type cidrRule struct {
	CIDR              string         `json:"cidr"`
	CIDRGroupRef      string         `json:"cidrGroupRef"`
	CIDRGroupSelector *labelSelector `json:"cidrGroupSelector"`
	Except            []string       `json:"except"`
}

type portDeny struct {
	Ports []portProtocol `json:"ports"`
}

type portRule struct {
	Ports          []portProtocol  `json:"ports"`
	TerminatingTLS json.RawMessage `json:"terminatingTLS"`
	OriginatingTLS json.RawMessage `json:"originatingTLS"`
	ServerNames    []string        `json:"serverNames"`
	Listener       json.RawMessage `json:"listener"`
	Rules          *l7Rules        `json:"rules"`
}

type l7Rules struct {
	HTTP    []json.RawMessage `json:"http"`
	Kafka   []json.RawMessage `json:"kafka"`
	DNS     []json.RawMessage `json:"dns"`
	L7      []json.RawMessage `json:"l7"`
	L7Proto string            `json:"l7proto"`
}

type icmpRule struct {
	Fields []icmpField `json:"fields"`
}

// errUnknownField marks a spec that reads well but for fields that the model
// does not know.
var errUnknownField = errors.New("not modelled")

// decodeSpec reads a spec strictly: names are case-sensitive, unknown and
// repeated fields are errors that wrap errUnknownField and leave spec filled.
func decodeSpec(raw map[string]any) (ciliumSpec, error) {
	var spec ciliumSpec
	data, err := json.Marshal(raw)
	if err != nil {
		return spec, fmt.Errorf("it is no JSON object: %w", err)
	}
	strict, err := sigsjson.UnmarshalStrict(data, &spec)
	if err != nil {
		return spec, fmt.Errorf("it does not decode: %w", err)
	}
	if len(strict) > 0 {
		return spec, fmt.Errorf("%w: %w", errUnknownField, errors.Join(strict...))
	}
	return spec, nil
}

// throughProxy says which part of a port rule sends traffic to a proxy that
// decides on more than layers 3 and 4, or "".
func (r *portRule) throughProxy() string {
	switch {
	case r.Rules != nil && len(r.Rules.HTTP) > 0:
		return "HTTP rules"
	case r.Rules != nil && len(r.Rules.DNS) > 0:
		return "DNS rules"
	case r.Rules != nil && len(r.Rules.Kafka) > 0:
		return "Kafka rules"
	case r.Rules != nil && (len(r.Rules.L7) > 0 || r.Rules.L7Proto != ""):
		return "layer 7 rules"
	case len(r.ServerNames) > 0:
		return "server names"
	case present(r.TerminatingTLS) || present(r.OriginatingTLS):
		return "TLS interception"
	case present(r.Listener):
		return "a proxy listener"
	}
	return ""
}

func present(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }
