// Package recipe plans changes: it turns operations, such as "rename column users.name full_name", into
// the paired scripts of a change folder that run beside both versions of an application.
//
//	[]Operation ──Plan──▶ Draft ──Write──▶ expand.sql, expand.rollback.sql, backfill.sql, …
//	     ▲                  ▲
//	diff.Result        schema.Database: the model of the schema before the change
//
// There is a recipe for each kind of operation. A recipe takes a model of the schema from how it is now
// through how it is to be after each phase, in small steps. What a step runs forward and back is written by
// the ddl.Writer of the engine, from the model before the step and the one after it: so each script is
// the other's inverse by construction, and both are made of the statements whose round trips are tested
// there. Recipes themselves write what is no part of a schema: batches, assertions and the bodies of the
// triggers that keep both shapes of a table in step.
//
// Operations on the same table share one set of triggers and one walk over its rows.
package recipe
