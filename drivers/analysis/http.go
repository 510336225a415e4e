package analysis

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/switchbackdb/switchback/strategies"
)

// asked sends the candidate a request of its own.
type asked struct {
	client   *http.Client
	url      string // with {{address}} in it
	status   int
	contains string
	may      int // how many answers in a row may be wrong
	wrong    int
}

// mostRead is how much of an answer is looked at.
const mostRead = 1 << 20

func newAsked(s *spec, client *http.Client) (strategies.Judge, error) {
	status, err := s.number("status", http.StatusOK)
	if err != nil {
		return nil, err
	}
	failures, err := s.number("failures", 1)
	if err != nil {
		return nil, err
	}
	path := s.text("path", "/")
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("path: %q does not begin with a /", path)
	}
	return &asked{client: client, url: s.text("scheme", "http") + "://{{address}}" + path, status: int(status), contains: s.text("contains", ""), may: int(failures)}, nil
}

// Judge implements strategies.Judge.
func (j *asked) Judge(ctx context.Context, w strategies.Window) (strategies.Verdict, error) {
	wrong, err := j.ask(ctx, filled(j.url, w))
	if err != nil {
		wrong = err.Error()
	}
	if wrong == "" {
		j.wrong = 0
		return strategies.Verdict{Outcome: strategies.Good, Says: "answers as it should"}, nil
	}
	if j.wrong++; j.wrong > j.may {
		return strategies.Verdict{Outcome: strategies.Bad, Says: wrong}, nil
	}
	return strategies.Verdict{Outcome: strategies.NoData, Says: wrong}, nil
}

// ask says what is wrong with the answer.
func (j *asked) ask(ctx context.Context, url string) (wrong string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := j.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostRead))
	switch {
	case err != nil:
		return "", fmt.Errorf("GET %s: %w", url, err)
	case resp.StatusCode != j.status:
		return fmt.Sprintf("GET %s is answered %s where %d is wanted", url, resp.Status, j.status), nil
	case !strings.Contains(string(body), j.contains):
		return fmt.Sprintf("the answer to GET %s does not contain %q", url, j.contains), nil
	}
	return "", nil
}
