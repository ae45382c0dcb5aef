package routes

import (
	"context"
	"net/http"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
)

// health answers load balancers. It reads no store: it says that this function
// runs, and which version of it.
func (s Subjects) health(context.Context, *session.Call) (output.Answer, error) {
	return output.JSON(http.StatusOK, map[string]string{"status": "ok", "version": s.Version})
}
