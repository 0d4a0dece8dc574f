"""Steps 5 to 9: the id_token is verified, bound, normalised, stored as a launch, and handed to the application."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.background import BackgroundTask

from ltihost.addresses import http_permitted
from ltihost.attempts import OpenAttempt
from ltihost.errors import Refused
from ltihost.flows.launch.browser import Bound
from ltihost.flows.launch.items import Items
from ltihost.flows.launch.notices import NoticeWishes
from ltihost.flows.launch.review import admit_reviewer
from ltihost.flows.launch.services import LaunchServices
from ltihost.handover import CODE_SECONDS, launch_json, services_json
from ltihost.host import Host
from ltihost.lti.claims import read_instance, usable_id
from ltihost.lti.messages import Message, read_message
from ltihost.lti.roles import is_test_user, strongest_role
from ltihost.lti.state import STATE_SECONDS, State, digest, new_secret, short_digest
from ltihost.lti.token import VerifiedToken, verify_id_token
from ltihost.lti.vocabulary import DEPLOYMENT_ID, RESOURCE_LINK
from ltihost.plugins.lti_adapter import LtiAdapter
from ltihost.records import Application, Binding, Context, Instance, Launch, Person, Registration, ResourceLink, Role
from ltihost.role_rules import apply_role_rules
from ltihost.store import hot
from ltihost.store.content_items import Known
from ltihost.targets import leads_to, origin_of, same_page, with_query
from ltihost.tool_urls import launch_url


@dataclass(frozen=True, slots=True)
class HandOver:
    """Where the browser goes now, and what happens after it went."""

    location: str
    code: str
    then: BackgroundTask


class Acceptance:
    """One id_token to one stored launch. Raises Refused at every step; until step 8 nothing is stored."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.items = Items(host)
        self.notices = NoticeWishes(host)
        self.services = LaunchServices(host)

    async def run(
        self,
        id_token: str,
        state: State,
        registration: Registration,
        bound: Bound,
        attempt: OpenAttempt,
        received_at: float,
    ) -> HandOver:
        """`received_at` is when the launch post arrived: a confirmation later is judged by it, not by its own time."""
        attempt.trace.passed("browser", received=bound.rung)
        attempt.rung = bound.rung
        token = await self._verify(id_token, state, registration, attempt, received_at)
        binding = await self._bind(token, state, registration, attempt)
        message, roles = self._normalise(token, registration, binding, attempt)
        services = await self.services.admitted(message, binding, attempt.trace)
        if services is not message.services:
            message = replace(message, services=services)
        item = await self.items.find(message, binding, attempt.trace)
        target = self._target(message, state, registration, binding, attempt, item)
        launch = self._launch(message, roles, binding, bound, attempt, target)
        if launch.for_user is not None:
            launch = await admit_reviewer(self.host, launch, self._adapter(binding), token.claims)
        ids, code = await self._accept(launch, token, state, attempt)
        await self.services.keep(launch, ids)
        return HandOver(with_query(target, f"code={code}"), code, BackgroundTask(self._afterwards, launch, ids, item))

    async def _afterwards(self, launch: Launch, ids: hot.AcceptOutcome, item: Known | None) -> None:
        """What the person need not wait for."""
        await self.items.note(launch, ids.resource_link_id, item)
        await self.notices.note(launch)
        if self.host.calls.tells_of_launches:
            await self.host.calls.launch_accepted(_with_ids(launch, ids))

    async def _verify(
        self, id_token: str, state: State, registration: Registration, attempt: OpenAttempt, received_at: float
    ) -> VerifiedToken:
        """Step 5. A token for another registration of the same issuer is named as the mix-up it is."""
        try:
            return await verify_id_token(
                id_token, registration, self.host.platform_keys,
                nonce_hash=state.nonce_hash, asked_at=state.issued_at, now=received_at, trace=attempt.trace,
            )  # fmt: skip
        except Refused as refused:
            if refused.code == "audience_mismatch" and registration.issuer and refused.received:
                others = await self.host.routing.routes(registration.issuer, refused.received.strip('["]'))
                if any(route.registration.id != registration.id for route in others):
                    raise Refused(
                        "mix_up", "audience", expected=refused.expected, received=refused.received
                    ) from refused
            raise

    async def _bind(
        self, token: VerifiedToken, state: State, registration: Registration, attempt: OpenAttempt
    ) -> Binding:
        """Step 6: (registration, deployment) names tenant, application and plugins. Core spec 5.3.3."""
        deployment_id = usable_id(token.claims.get(DEPLOYMENT_ID))
        if deployment_id is None:
            raise Refused(
                "deployment_missing", "deployment", expected="a deployment_id", received="none that can be used"
            )
        attempt.deployment_id = deployment_id
        if state.deployment_hash and not hmac.compare_digest(short_digest(deployment_id), state.deployment_hash):
            raise Refused(
                "deployment_mismatch", "deployment", expected="the deployment of the login", received=deployment_id
            )
        instance = read_instance(token.claims)
        deployment = await self._known_deployment(registration, deployment_id, instance)
        if deployment.tenant is not None:
            attempt.tenant_id = deployment.tenant.id
        binding = _binding(registration, deployment)
        attempt.trace.passed("deployment", received=deployment_id)
        await self._check_plugin(binding, deployment, instance)
        attempt.trace.passed("plugin", received=registration.plugin)
        return binding

    async def _known_deployment(
        self, registration: Registration, deployment_id: str, instance: Instance
    ) -> hot.Deployment:
        """An unknown deployment is normal (somebody installed the tool elsewhere): it is noted and waits for approval,
        unless the registration admits further deployments of an installation that is known already."""
        deployment = await self.host.routing.deployment(registration.id, deployment_id)
        if deployment is None and registration.auto_deployments == "same_instance" and instance.guid:
            deployment = await self.host.database.hot.adopt_deployment(
                registration.id, deployment_id, guid=instance.guid
            )
            self.host.routing.forget_deployment(registration.id, deployment_id)
        if deployment is None or (deployment.instance_guid is None and instance.guid):
            await self.host.database.hot.note_deployment(
                registration.id, deployment_id, guid=instance.guid, url=instance.url, name=instance.name
            )
            self.host.routing.forget_deployment(registration.id, deployment_id)
        if deployment is None or deployment.state == "pending":
            raise Refused("deployment_pending", "deployment", expected="an approved deployment", received=deployment_id)
        return deployment

    async def _check_plugin(self, binding: Binding, deployment: hot.Deployment, instance: Instance) -> None:
        key = binding.registration.plugin
        plugin = self.host.plugins.get(key)
        if plugin is None:
            raise Refused("plugin_unavailable", "plugin", expected=key, received="not loaded")
        if key not in {enabled.key for enabled in binding.plugins}:
            raise Refused("plugin_disabled", "plugin", expected=f"{key} enabled", received="not enabled")
        if plugin.manifest.pins_instance and not _same_instance(deployment, instance):
            raise Refused(
                "instance_changed", "deployment",
                expected=f"{deployment.instance_guid} at {deployment.instance_url}", received=f"{instance.guid} at {instance.url}",
            )  # fmt: skip

    def _normalise(
        self, token: VerifiedToken, registration: Registration, binding: Binding, attempt: OpenAttempt
    ) -> tuple[Message, tuple[Role, ...]]:
        """Step 7: the plugin turns the LMS's dialect into claims as the spec means them; then the message rules."""
        claims = self.host.calls.normalise_claims(_as_platforms_may(token.claims), binding)
        message = read_message(claims, allow_anonymous=registration.allow_anonymous, trace=attempt.trace)
        attempt.message = message.name
        return message, self.host.calls.map_roles(message.roles, binding)

    def _target(
        self,
        message: Message,
        state: State,
        registration: Registration,
        binding: Binding,
        attempt: OpenAttempt,
        item: Known | None,
    ) -> str:
        """Where the launch leads: the picker for deep linking, else what the signed target names, if it is ours: the
        content item behind the link, an application's URL, or its start."""
        application, signed = binding.application, message.target_link_uri
        if signed and not hmac.compare_digest(short_digest(signed), state.target_hash):
            attempt.trace.warn("the login named another target than the launch; the signed one of the launch counts")
        if message.name == "deep_linking":
            if not registration.deep_linking:
                raise Refused("deep_linking_off", "target", expected="deep-linking=yes", received="no")
            if application.picker_url is None:
                raise Refused("picker_missing", "target", expected=f"a picker of {application.name}", received="none")
            self._check_return_url(message)
            return application.picker_url
        own = tuple(launch_url(self.host.settings, registration, shared=shared) for shared in (True, False))
        ours = signed is None or signed in own or any(same_page(signed, url) for url in own)
        if signed is not None and not ours and not leads_to(application, signed):
            raise Refused("target_not_registered", "target", expected=application.launch_url, received=signed)
        if item is not None:
            return _of_item(item, message, application)
        return application.launch_url if ours or signed is None else signed

    def _check_return_url(self, message: Message) -> None:
        """A teacher's answer never travels in the clear, but in a network of the operator's own."""
        url = message.deep_linking.return_url if message.deep_linking else ""
        parts = urlsplit(url)
        if parts.scheme != "https" and not http_permitted(parts.hostname, self.host.settings.allow_networks):
            raise Refused("deep_linking_invalid", "message_type", expected="an https return URL", received=url)

    def _launch(
        self,
        message: Message,
        roles: tuple[Role, ...],
        binding: Binding,
        bound: Bound,
        attempt: OpenAttempt,
        target: str,
    ) -> Launch:
        global_role, group_role = apply_role_rules(binding.role_rules, roles)
        return Launch(
            id=attempt.id,
            message=message.name,
            launched_at=attempt.at,
            target_link_uri=target,
            binding=binding,
            person=message.person,
            role=strongest_role(roles, institution_admin=binding.registration.institution_admin),
            roles=roles,
            test_user=is_test_user(roles),
            context=message.context,
            resource_link=message.resource_link,
            custom=message.custom,
            lis=message.lis,
            presentation=message.presentation,
            services=message.services,
            instance=message.instance,
            rung=bound.rung,
            cookies=bound.cookies,
            deep_linking=message.deep_linking,
            for_user=message.for_user,
            global_role=global_role,
            group_role=group_role,
            warnings=tuple(attempt.trace.warnings),
        )

    async def _accept(
        self, launch: Launch, token: VerifiedToken, state: State, attempt: OpenAttempt
    ) -> tuple[hot.AcceptOutcome, str]:
        """Step 8: one transaction. The nonce is spent in it, so that a launch is either whole or never was.

        The ids that the store gave the launch's parts, and the one-time code.
        """
        code = new_secret()
        attempt.trace.passed("replay")
        outcome = await self.host.database.hot.accept_launch(self._work(launch, token, state, attempt, code))
        if outcome.refusal is not None:
            raise Refused(outcome.refusal, _CHECK_OF.get(outcome.refusal, "deployment"))
        return outcome, code

    def _work(
        self, launch: Launch, token: VerifiedToken, state: State, attempt: OpenAttempt, code: str
    ) -> hot.AcceptLaunch:
        registration, person = launch.binding.registration, launch.person
        adapter = self._adapter(launch.binding)
        key = adapter.user_key(token.claims)
        return hot.AcceptLaunch(
            attempt=attempt.end("accepted"),
            application_id=launch.binding.application.id,
            plugin=registration.plugin,
            message=launch.message,
            nonce_hash=state.nonce_hash,
            nonce_expires=state.issued_at + STATE_SECONDS + 120,
            person=_person_seen(person, key, test_user=launch.test_user) if key and person.subject else None,
            context=_context_seen(launch.context),
            link=_link_seen(launch.resource_link),
            role=launch.role,
            roles_json=orjson.dumps([role.uri for role in launch.roles]).decode(),
            global_role=launch.global_role,
            group_role=launch.group_role,
            create_users=registration.create_users,
            create_contexts=registration.create_contexts,
            sync_roles=registration.sync_roles,
            launch_json=launch_json(launch),
            services_json=services_json(launch),
            target_url=launch.target_link_uri or launch.binding.application.launch_url,
            code_hash=digest(code),
            code_expires=attempt.at + CODE_SECONDS,
            was_waiting=attempt.was_waiting,
        )

    def _adapter(self, binding: Binding) -> LtiAdapter:
        plugin = self.host.plugins.get(binding.registration.plugin)
        return (plugin.adapter if plugin else LtiAdapter)(binding)


_CHECK_OF: Mapping[str, str] = {
    "state_used": "replay",
    "registration_inactive": "registration",
    "plugin_disabled": "plugin",
    "user_suspended": "subject",
    "user_unknown": "subject",
    "context_unknown": "context",
}


def _as_platforms_may(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    """Whether a resource link is synthetic is a plugin's to say, never the platform's."""
    link = claims.get(RESOURCE_LINK)
    if not isinstance(link, dict) or "synthetic" not in link:
        return claims
    return {**claims, RESOURCE_LINK: {name: value for name, value in link.items() if name != "synthetic"}}


def _of_item(item: Known, message: Message, application: Application) -> str:
    """The item's own URL, which must still be one of the application's."""
    url = (item.review_url if message.name == "submission_review" else None) or item.url or application.launch_url
    if not leads_to(application, url):
        raise Refused("target_not_registered", "target", expected=application.launch_url, received=url)
    return url


def _binding(registration: Registration, deployment: hot.Deployment) -> Binding:
    if deployment.state != "approved" or deployment.tenant is None or deployment.application is None:
        raise Refused("deployment_disabled", "deployment", expected="an approved deployment", received=deployment.state)
    if not deployment.tenant.active:
        raise Refused("tenant_suspended", "deployment", expected="an active tenant", received="suspended")
    return Binding(
        deployment.tenant, registration, deployment.deployment_id, deployment.application, deployment.plugins,
        deployment.role_rules,
    )  # fmt: skip


def _same_instance(deployment: hot.Deployment, instance: Instance) -> bool:
    """A copied test system sends the deployment of the system it was copied from, under another host or guid."""
    guid = deployment.instance_guid is None or instance.guid is None or deployment.instance_guid == instance.guid
    known, seen = origin_of(deployment.instance_url), origin_of(instance.url)
    return guid and (known is None or seen is None or known == seen)


def _person_seen(person: Person, key: str, *, test_user: bool) -> hot.PersonSeen:
    assert person.subject is not None  # an anonymous person is not stored
    return hot.PersonSeen(
        key, person.subject, person.name, person.given_name, person.family_name, person.middle_name, person.email,
        person.picture, person.locale, test_user,
    )  # fmt: skip


def _context_seen(context: Context | None) -> hot.ContextSeen | None:
    return hot.ContextSeen(context.lms_id, context.title, context.label, context.types) if context else None


def _link_seen(link: ResourceLink | None) -> hot.LinkSeen | None:
    return hot.LinkSeen(link.lms_id, link.title, link.description) if link else None


def _with_ids(launch: Launch, outcome: hot.AcceptOutcome) -> Launch:
    """The launch as events see it, with the ids that the store gave its parts."""
    fields: dict[str, Any] = {"person": replace(launch.person, id=outcome.user_id)}
    if launch.context is not None:
        fields["context"] = replace(launch.context, id=outcome.context_id)
    if launch.resource_link is not None:
        fields["resource_link"] = replace(launch.resource_link, id=outcome.resource_link_id)
    return replace(launch, **fields)
