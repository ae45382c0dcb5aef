// Statements of days, oldest first.
import { api, corp, data, type Schemas } from '../api'

/** Reads the statements of at most 31 days. One answer may hold fewer. */
export async function statementsOf(from: string, to: string): Promise<Schemas['Statement'][]> {
  const all: Schemas['Statement'][] = []
  for (let next: string | null = from; next && all.length < 31; ) {
    const page: { statements: Schemas['Statement'][]; next: string | null } = await data(
      api.GET('/v1/corps/{corpid}/statements', { params: { path: corp(), query: { from: next, to } } }),
    )
    all.push(...page.statements)
    next = page.next
  }
  return all
}

export const asideOf = (s: Schemas['Statement']) => Object.values(s.set_aside).reduce((a, b) => a + b, 0)
