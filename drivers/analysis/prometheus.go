package analysis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/switchbackdb/switchback/strategies"
)

// prometheus asks a server with Prometheus's HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/).
// A query that gives no sample is no data; of several, each has to be within the limit.
type prometheus struct {
	client *http.Client
	base   *url.URL
	query  string
	limit  limit
}

func newPrometheus(s *spec, client *http.Client) (strategies.Judge, error) {
	base, err := url.Parse(s.text("url", ""))
	if err != nil || base.Host == "" {
		return nil, errors.New("url: want that of a Prometheus server, as http://prometheus:9090")
	}
	j := &prometheus{client: client, base: base, query: s.text("query", "")}
	if j.query == "" {
		return nil, errors.New("it has no query")
	}
	if j.limit, err = newLimit(s); err == nil && !j.limit.hasBelow && !j.limit.hasAbove {
		err = errors.New("it has no limit: say below, above, or both")
	}
	return j, err
}

// answer is what the API gives for an instant query.
type answer struct {
	Status string `json:"status"`
	Error  string `json:"error"`
	Data   struct {
		Type   string          `json:"resultType"`
		Result json.RawMessage `json:"result"`
	} `json:"data"`
}

// Judge implements strategies.Judge.
func (j *prometheus) Judge(ctx context.Context, w strategies.Window) (v strategies.Verdict, err error) {
	values, err := j.ask(ctx, filled(j.query, w))
	if err != nil {
		return v, err
	}
	v = strategies.Verdict{Outcome: strategies.NoData, Says: "the query gives no sample"}
	for _, value := range values {
		if strings.EqualFold(value, "NaN") { // 0 divided by 0: nothing happened yet
			continue
		}
		if v, err = j.limit.judge(value); err != nil || v.Outcome == strategies.Bad {
			return v, err
		}
	}
	return v, nil
}

func (j *prometheus) ask(ctx context.Context, query string) ([]string, error) {
	at := j.base.JoinPath("api/v1/query")
	at.RawQuery = url.Values{"query": {query}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := j.client.Do(req)
	if err != nil {
		var inner *url.Error // its URL may hold a password
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return nil, fmt.Errorf("ask Prometheus at %s: %w", j.base.Redacted(), err)
	}
	defer resp.Body.Close()
	var a answer
	if err := json.NewDecoder(io.LimitReader(resp.Body, mostRead)).Decode(&a); err != nil {
		return nil, fmt.Errorf("ask Prometheus at %s: %s: %w", j.base.Redacted(), resp.Status, err)
	}
	if a.Status != "success" {
		return nil, fmt.Errorf("ask Prometheus at %s: %s", j.base.Redacted(), a.Error)
	}
	return samples(a.Data.Type, a.Data.Result)
}

// samples are the values of a result: of a scalar one, of a vector one for each series.
func samples(kind string, result json.RawMessage) ([]string, error) {
	value := func(pair [2]any) string { return fmt.Sprint(pair[1]) }
	switch kind {
	case "scalar":
		var pair [2]any
		err := json.Unmarshal(result, &pair)
		return []string{value(pair)}, err
	case "vector":
		var series []struct {
			Value [2]any `json:"value"`
		}
		err := json.Unmarshal(result, &series)
		var list []string
		for _, s := range series {
			list = append(list, value(s.Value))
		}
		return list, err
	}
	return nil, fmt.Errorf("the query gives a %s, not a number", kind)
}
