"""The contract of a provider plugin as tests to inherit: `ProviderContract`. Nothing but pytest is needed.

    from pathlib import Path
    from vidpoll.testing import ProviderContract

    class TestContract(ProviderContract):
        provider = "acme"
        samples = Path(__file__).parent / "samples"
        submits = {"video": {"prompt": "a lighthouse at dusk"}}

The rooms behind it: `samples` (reading the folder), `mutations` (bodies that are almost right), `subject` (the plugin
under test), and the rules in `meaning`, `verdicts`, `contents`, `empty`, `follows`, `requests` and `package`. Here is
only the list of the tests; each one's docstring is its rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from . import contents, empty, follows, meaning, package, requests, verdicts
from .subject import Subject, broken

__all__ = ["ProviderContract"]


class ProviderContract:
    """Inherit it in a class whose name begins with `Test`, name your provider and your samples, and run pytest.

    `provider` is the provider's name. `samples` is a folder with bodies and their `index.json`. `submits` maps each
    submit operation to fields that it takes. `plugin` is the module or object with the hooks, for a plugin that is not
    installed; left out, the provider is looked for among the installed plugins.
    """

    provider: ClassVar[str] = ""
    samples: ClassVar[str | Path] = ""
    submits: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    plugin: ClassVar[object | None] = None
    _subject: ClassVar[Subject | None] = None

    @classmethod
    def subject(cls) -> Subject:
        """The plugin under test; found once for each class."""
        if not cls.provider or not cls.samples:
            broken(
                "a contract names a provider and a folder of samples",
                seen=f"provider={cls.provider!r}, samples={str(cls.samples)!r} in {cls.__name__}",
                why="there is nothing to test",
                do='write provider = "acme" and samples = Path(__file__).parent / "samples" in the class',
            )
        if cls._subject is None or "_subject" not in vars(cls):
            cls._subject = Subject(cls.provider, Path(cls.samples), cls.plugin, cls.submits)
        return cls._subject

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """One test for each sample, where a test asks for one."""
        if "sample" in metafunc.fixturenames and self.provider and self.samples:
            found = self.subject().index.samples
            metafunc.parametrize("sample", found, ids=[sample.file for sample in found])

    # -- the plugin and its samples -----------------------------------------------------------------------------------

    def test_the_plugin_is_sound(self) -> None:
        """The plugin is found, validates, and nothing in it is misspelt."""
        package.sound(self.subject())

    def test_the_entry_point_bears_the_name(self) -> None:
        """The entry point, and the distribution, are named for the provider."""
        package.entry_point(self.subject())

    def test_the_plugin_imports_only_vidpoll(self) -> None:
        """A plugin holds no loop, no sleep and no network code: it imports vidpoll and the standard library."""
        package.imports(self.subject())

    def test_nothing_is_left_to_decide(self) -> None:
        """What the template or its guesses left to the author has been decided."""
        package.decided(self.subject())

    def test_the_samples_are_described(self) -> None:
        """Every body says what it answers, where it comes from and what it means."""
        package.described(self.subject())

    def test_the_samples_show_every_end(self) -> None:
        """There is a sample of a job under way, of a completed one and of a failed one."""
        package.every_end(self.subject())

    # -- what answers mean --------------------------------------------------------------------------------------------

    def test_a_sample_means_what_is_expected(self, sample: Any) -> None:
        """State, stage, progress, assets, and whatever else the index says, exactly."""
        meaning.meaning(self.subject(), sample)

    def test_every_documented_word_is_known(self) -> None:
        """Each status word of the vendor's page leads to its state."""
        verdicts.words(self.subject())

    def test_an_unknown_word_is_not_guessed(self) -> None:
        """A status word that is not listed raises UnknownStatus."""
        verdicts.unknown_word(self.subject())

    def test_only_the_status_decides(self, sample: Any) -> None:
        """Another value in another field does not change the state, and a boolean is no number."""
        verdicts.scalars(self.subject(), sample)

    def test_a_job_under_way_is_not_ended_by_other_fields(self) -> None:
        """A URL, an error text or a 100 % beside a status word that says "running" ends nothing."""
        verdicts.transplants(self.subject())

    def test_an_answer_that_says_nothing_ends_no_job(self) -> None:
        """An empty body, HTML, null, or an error without the job's status is no verdict."""
        verdicts.nothing(self.subject())

    def test_junk_raises_only_what_is_allowed(self) -> None:
        """Whatever comes, a parser raises AnswerError or Refused, and nothing else."""
        verdicts.junk(self.subject())

    def test_an_answer_about_another_job_is_told_apart(self) -> None:
        """The id that the answer names is reported as it came, and never taken for the one that was asked with."""
        contents.foreign(self.subject())

    def test_parsers_are_pure(self) -> None:
        """One answer has one meaning, whatever was parsed before."""
        verdicts.pure(self.subject())

    def test_a_completed_job_has_its_video(self) -> None:
        """Completed comes with a video, or says that none is due."""
        contents.completed(self.subject())

    def test_a_failed_job_says_why(self) -> None:
        """Failed comes with a problem that a person can read."""
        contents.failed(self.subject())

    def test_a_job_under_way_has_no_video(self) -> None:
        """A file that is there before the end is not whole: no asset of kind video before completed."""
        contents.under_way(self.subject())

    def test_progress_is_a_percentage(self) -> None:
        """Progress is 0 to 100, also where the provider counts from 0 to 1."""
        contents.progress(self.subject())

    def test_times_are_unix_seconds(self) -> None:
        """Times are seconds, also where the provider sends milliseconds; the video's length is seconds too."""
        contents.times(self.subject())

    def test_asset_urls_resolve(self) -> None:
        """Every asset can be fetched: http or https, or a path of the account's own origin."""
        contents.assets(self.subject())

    def test_submit_takes_the_id_first(self) -> None:
        """Whatever else is in a submit answer, its id is found."""
        contents.submit_id(self.subject())

    def test_a_submit_answer_without_an_id_is_no_job(self) -> None:
        """No id, no job: "None" and "True" are no ids."""
        contents.submit_without_id(self.subject())

    def test_list_rows_agree_with_status(self) -> None:
        """A row says of a job what its status answer says; one strange row costs no other."""
        contents.rows(self.subject())

    def test_a_flag_is_true_or_false(self) -> None:
        """In lists and quotas, too, a text in the place of true is not true."""
        contents.flags(self.subject())

    def test_errors_are_read(self) -> None:
        """The reader of refusals never raises."""
        contents.errors(self.subject())

    def test_an_empty_answer_is_believed_only_where_it_may_be(self) -> None:
        """A cancel, delete or content whose parser ignores the body declares `empty_ok=True`."""
        empty.believed(self.subject())

    # -- second answers -----------------------------------------------------------------------------------------------

    def test_a_second_answer_is_shown_to_its_parser(self) -> None:
        """A Follow has a sample of its second answer, and lists the HTTP status of it."""
        follows.shown(self.subject())

    def test_a_second_answer_breaks_nothing(self) -> None:
        """Whatever a second answer is: nothing but what is allowed is raised, and what says nothing ends no job."""
        follows.junk(self.subject())
        follows.nothing(self.subject())

    def test_a_second_answer_about_another_job_is_told_apart(self) -> None:
        """Files of an answer that names another job are not taken."""
        follows.foreign(self.subject())

    # -- requests -----------------------------------------------------------------------------------------------------

    def test_requests_are_pure(self) -> None:
        """The same call builds the same request, and leaves the fields as they were."""
        requests.pure(self.subject())

    def test_questions_change_nothing(self) -> None:
        """Status, list and quota can be asked again and again."""
        requests.safe(self.subject())

    def test_requests_are_the_documented_ones(self) -> None:
        """Method and path are those that the samples' "request" names."""
        requests.documented(self.subject())

    def test_the_id_reaches_the_request(self) -> None:
        """Whatever an id holds, the request is about this job and nothing else, or the id is refused."""
        requests.ids(self.subject())

    def test_the_key_stays_in_the_headers(self) -> None:
        """The key is in no URL, body or repr, and travels encrypted."""
        requests.key(self.subject())

    def test_submits_refuse_what_they_cannot_send(self) -> None:
        """A submit with strange fields raises a UsageError before anything is sent, or makes a request."""
        requests.submits(self.subject())

    def test_the_next_page_is_another_request(self) -> None:
        """The token of a page leads on."""
        requests.next_page(self.subject())

    # -- the whole ----------------------------------------------------------------------------------------------------

    def test_a_simulated_job_from_submit_to_file(self) -> None:
        """With a face for the simulator: submit, wait, download; and a job that fails."""
        package.simulated(self.subject())
