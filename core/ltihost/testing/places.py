"""`Places`: who and what is on a simulated LMS. Tests and pages change it as teachers and administrators would."""

from __future__ import annotations

from dataclasses import replace

from ltihost.testing.parts import Column, Context, Link, Person
from ltihost.testing.profile import Profile
from ltihost.testing.services.gradebook import Gradebook, first_number
from ltihost.testing.services.rules_content import Chosen


class Places:
    """People, contexts with their links and enrolments, and the gradebook of one LMS. People and places go by slug."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.people: dict[str, Person] = {person.slug: person for person in profile.people}
        self.contexts: dict[str, Context] = {context.slug: context for context in profile.contexts}
        self.gradebook = Gradebook(profile.contexts)
        #: What stands in a context besides links to the tool, by the context's slug.
        self.materials: dict[str, list[Chosen]] = {}
        self._by_user_id = {profile.person_id(person): person for person in profile.people}
        self._number = first_number()

    # People.

    def person_of(self, user_id: str) -> Person | None:
        """Whose `sub` this is."""
        return self._by_user_id.get(user_id)

    def add_person(self, slug: str, given_name: str, family_name: str, sourcedid: str = "") -> Person:
        """A new account, enrolled nowhere yet."""
        person = Person(slug, self._next(), given_name, family_name, sourcedid)
        self.people[slug] = person
        self._by_user_id[self.profile.person_id(person)] = person
        return person

    def enrol(self, person: str, context: str, kind: str = "student") -> None:
        """Raises KeyError for an unknown person, context or kind."""
        place, known, _ = self.contexts[context], self.people[person], self.profile.kinds[kind]
        self.contexts[context] = replace(place, enrolled={**place.enrolled, known.slug: kind})

    def unenrol(self, person: str, context: str) -> None:
        place = self.contexts[context]
        left = {slug: kind for slug, kind in place.enrolled.items() if slug != person}
        self.contexts[context] = replace(place, enrolled=left)

    def populate(self, context: str, count: int) -> list[Person]:
        """Enrol `count` new students in a context, as a large lecture has them."""
        place = self.contexts[context]
        people = [self.add_person(f"student-{self._number}", "Student", f"Number {self._number}") for _ in range(count)]
        enrolled = {**place.enrolled, **{person.slug: "student" for person in people}}
        self.contexts[context] = replace(place, enrolled=enrolled)
        return people

    # Contexts and links.

    def context_numbered(self, number: int) -> Context | None:
        return next((context for context in self.contexts.values() if context.number == number), None)

    def find_link(self, slug: str) -> tuple[Context, Link]:
        """The link of this slug and the context it stands in. Raises KeyError."""
        for context in self.contexts.values():
            for link in context.links:
                if link.slug == slug:
                    return context, link
        raise KeyError(slug)

    def may_enter(self, person: Person, context: Context) -> bool:
        """Whether the LMS lets this person into the context at all: enrolled there, nobody's account, or its staff."""
        return person.slug in context.enrolled or person.anonymous or (context.account and bool(person.everywhere))

    def may_pick(self, person: Person, context: Context) -> bool:
        """Whether this person may choose content for the context."""
        kind = context.enrolled.get(person.slug)
        return kind is not None and self.profile.kinds[kind].picks

    def teaches(self, person: Person, context: Context) -> bool:
        """Whether this person sees everybody's grades and may change them."""
        kind = self.profile.kinds.get(context.enrolled.get(person.slug, ""))
        return kind is not None and (kind.picks or any(role.endswith("#Instructor") for role in kind.roles))

    def add(self, context: str, chosen: Chosen) -> Link | None:
        """Put a content item into a context; a link to the tool is answered, with its column if it is graded."""
        if chosen.link is None:
            self.materials.setdefault(context, []).append(chosen)
            return None
        number = self._next()
        link = replace(chosen.link, slug=f"added-{number}", number=number)
        self._put_links(context, (*self.contexts[context].links, link))
        if chosen.column is not None:
            self.gradebook.couple(context, link, **chosen.column)
        return link

    def rename_link(self, slug: str, title: str, maximum: float | None) -> None:
        context, _ = self.find_link(slug)
        links = (replace(link, title=title, maximum=maximum) if link.slug == slug else link for link in context.links)
        self._put_links(context.slug, tuple(links))

    def only_column(self, link: Link | None) -> Column | None:
        """The column of a link that has exactly one; a launch names no other. AGS 3.1."""
        columns = self.gradebook.of_link(link.slug) if link else []
        return columns[0] if len(columns) == 1 else None

    def copy_context(self, slug: str) -> Context:
        """A copy under new ids: links with their parameters, columns with their labels; no people's work."""
        old, number = self.contexts[slug], self._next()
        links = tuple(self._copied(link) for link in old.links)
        copy = replace(
            old,
            slug=f"{slug}-{number}",
            number=number,
            title=f"{old.title} (copy)",
            links=links,
            history=(old.number, *old.history),
        )
        self.contexts[copy.slug] = copy
        renamed = {before.slug: after for before, after in zip(old.links, links, strict=True)}
        for column in self.gradebook.of_context(slug):
            link = renamed.get(column.link or "")
            self.gradebook.put(
                replace(column, number=self._next(), context=copy.slug, link=link.slug if link else None, locked=False)
            )
        return copy

    def _copied(self, link: Link) -> Link:
        number = self._next()
        return replace(link, slug=f"{link.slug}-{number}", number=number, history=(link.number, *link.history))

    def _put_links(self, context: str, links: tuple[Link, ...]) -> None:
        self.contexts[context] = replace(self.contexts[context], links=links)

    def _next(self) -> int:
        self._number += 1
        return self._number
